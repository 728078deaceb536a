"""Expected errors of predictions: per point and per structure, from the one forward pass.

An error model is fitted after training (`deepdft.uncertainty.fit`), stored beside the weights
(`deepdft.uncertainty.error_model`) and asked through `deepdft.prediction.TrainedModel.uncertainty`.
docs/uncertainty.md has the equations.
"""
