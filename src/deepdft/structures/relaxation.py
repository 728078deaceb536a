"""Geometries improved by GFN2-xTB (Bannwarth, Ehlert, Grimme 2019)."""

from __future__ import annotations

import contextlib
import io

from ase import Atoms

from deepdft.errors import CalculationError, UnsupportedStructureError
from deepdft.extras import require_extra

_FORCE = 0.01
"""eV/Å. Largest force at the end."""

_STEPS = 500


def relaxed(atoms: Atoms, charge: int, multiplicity: int) -> Atoms:
    """Return a molecule at the nearest minimum of GFN2-xTB.

    Args:
        atoms: the molecule.
        charge: net charge, e.
        multiplicity: 2S + 1.

    Raises:
        MissingDependencyError: if tblite is not installed.
        UnsupportedStructureError: if the structure is periodic.
        CalculationError: if GFN2-xTB fails or finds no minimum.
    """
    require_extra("tblite", "Relaxing a geometry")
    from ase.optimize import BFGS
    from tblite.ase import TBLite

    if atoms.pbc.any():
        raise UnsupportedStructureError(
            "A periodic structure is not relaxed by GFN2-xTB; leave out --relax."
        )
    result: Atoms = atoms.copy()
    result.calc = TBLite(method="GFN2-xTB", charge=charge, multiplicity=multiplicity, verbosity=0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            done = BFGS(result, logfile=None).run(fmax=_FORCE, steps=_STEPS)
    except Exception as error:  # tblite raises several kinds
        raise CalculationError(f"GFN2-xTB failed: {str(error).splitlines()[0]}.") from None
    if not done:
        raise CalculationError(f"GFN2-xTB found no minimum in {_STEPS} steps.")
    result.calc = None
    return result
