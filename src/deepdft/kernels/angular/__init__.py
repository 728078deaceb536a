"""Spherical harmonics, their products, and messages with angular parts."""
