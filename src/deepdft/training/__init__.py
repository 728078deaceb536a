"""Training: batches of random probes, the Lightning module, runs."""

from deepdft.training.run import TrainingResult, train

__all__ = ["TrainingResult", "train"]
