"""Structures from files or SMILES strings."""
