"""The commands of the paper."""
