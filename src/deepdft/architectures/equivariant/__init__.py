"""The architecture `equivariant`: spherical tensors on atoms, fields around them."""
