"""Vectors, tiles and activations: what compiled networks are made of."""
