"""From the density to electronic structure: charges, moments, potentials, energies."""
