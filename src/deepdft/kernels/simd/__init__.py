"""Vectors, tiles and activations: what compiled networks are made of."""

from deepdft.imports import postponed

# numba looks for BLAS, for matrix products that none of our functions has.
with postponed("scipy.linalg.cython_blas"):
    from numba.np import arraymath as _arraymath  # noqa: F401
