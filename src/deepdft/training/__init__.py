"""Training: batches of random probes, the Lightning module, runs."""

from deepdft.training.run import TrainingResult, TrainingStopped, train

__all__ = ["TrainingResult", "TrainingStopped", "train"]
