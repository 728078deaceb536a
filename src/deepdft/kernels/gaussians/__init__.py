"""Densities of orbitals in Gaussian functions, compiled, in float32 and float64."""
