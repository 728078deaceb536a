"""Compiled building blocks, without architectures."""
