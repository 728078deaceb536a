"""Messages summed over edges, and the edges of blocks of probes."""
