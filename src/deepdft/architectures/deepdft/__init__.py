"""The architecture `deepdft`: the paper's equations."""
