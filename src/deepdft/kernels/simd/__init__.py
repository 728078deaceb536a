"""Vector registers, activations and tiles of matrix products."""
