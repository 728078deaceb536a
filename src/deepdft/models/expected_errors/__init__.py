"""Errors to expect of a model's predictions: per point and per structure, from one forward pass.

An error model is fitted after training (`deepdft.uncertainty.fit`), stored beside the weights
(`error_model`) and asked through `deepdft.prediction.TrainedModel.uncertainty`. docs/uncertainty.md
has the equations.
"""
