"""Periodic images, neighbour lists, graphs, blocks of points and grids."""
