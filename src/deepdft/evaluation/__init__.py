"""Errors against reference densities."""
