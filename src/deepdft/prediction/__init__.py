"""Prediction: the probe engine, grids, models ready to use."""

from deepdft.geometry.grids import choose_grid
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.predict import PredictionSummary, predict, predict_to_file, resolve_model
from deepdft.prediction.stored_prediction import StoreSummary, predict_to_store
from deepdft.prediction.trained_model import TrainedModel, load_model

__all__ = [
    "PredictionSummary",
    "ProbeEngine",
    "StoreSummary",
    "TrainedModel",
    "choose_grid",
    "load_model",
    "predict",
    "predict_to_file",
    "predict_to_store",
    "resolve_model",
]
