"""The paper's Table 1, Fig. 3 and side claims on densities that ship with the package."""
