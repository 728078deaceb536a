"""How things are kept: whole files, archives, compression, containers."""
