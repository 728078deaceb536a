"""Learning what errors to expect of a model, and measuring how right that is.

What is learned is kept and asked in `deepdft.models.expected_errors`.
"""
