"""Compiled operations as differentiable functions of torch; all that needs torch in kernels."""
