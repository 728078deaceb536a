"""What has a value at every point: superposed atoms, orbitals, networks."""
