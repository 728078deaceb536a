"""Conversion factors. Inside the package lengths are Å, densities e/Å^3 and energies eV.

Values are those of CODATA 2018 as tabulated by NIST. Conversion happens where a file is read or
written and nowhere else.
"""

from __future__ import annotations

BOHR = 0.529177210903
"""One bohr in Å."""

HARTREE = 27.211386245988
"""One hartree in eV."""

PER_CUBIC_BOHR = 1.0 / BOHR**3
"""One electron per cubic bohr, in e/Å^3 (6.748...)."""
