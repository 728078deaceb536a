"""What architectures share where they are evaluated on a CPU, without torch."""
