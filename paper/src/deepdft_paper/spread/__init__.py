"""The spread of functionals, equation (8) of the paper."""
