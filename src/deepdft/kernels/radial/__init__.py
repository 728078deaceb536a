"""Functions of distance as tables and pieces of polynomials."""
