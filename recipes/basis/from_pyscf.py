"""Write the shipped basis set `gth-dzvp` from the tables that PySCF distributes.

    python recipes/basis/from_pyscf.py

CP2K's GTH_BASIS_SETS has no DZVP-GTH functions for potassium, calcium, zinc, bromine and iodine;
for these the set holds DZVP-MOLOPT-SR-GTH, which belongs to the same pseudopotentials.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyscf
from pyscf.gto import basis

PATH = (
    Path(__file__).resolve().parents[2]
    / "src"
    / "deepdft"
    / "fields"
    / "orbitals"
    / "gth-dzvp.json"
)
PLAIN = ["H", "Li", "B", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl"]
MOLECULAR = ["K", "Ca", "Zn", "Br", "I"]
SOURCE = (
    "CP2K basis set file GTH_BASIS_SETS, entry DZVP-GTH (VandeVondele et al., Comput. Phys. "
    "Commun. 167, 103-128, 2005), values as distributed with PySCF {version} under the name "
    "gth-dzvp; for K, Ca, Zn, Br and I, which that set lacks, BASIS_MOLOPT, entry "
    "DZVP-MOLOPT-SR-GTH (VandeVondele and Hutter, J. Chem. Phys. 127, 114105, 2007), "
    "gth-dzvp-molopt-sr in PySCF. Exponents in bohr^-2; coefficients of normalised primitives, "
    "one row for each exponent and one column for each radial function."
)


def shells(element: str, name: str) -> list[dict]:
    """Return the shells of one element, in PySCF's order of basis functions."""
    return [
        {
            "angular_momentum": momentum,
            "exponents": [row[0] for row in rows],
            "coefficients": [row[1:] for row in rows],
        }
        for momentum, *rows in basis.load(name, element)
    ]


def main() -> None:
    names = dict.fromkeys(PLAIN, "gth-dzvp") | dict.fromkeys(MOLECULAR, "gth-dzvp-molopt-sr")
    entries = []
    for element, name in names.items():
        text = ",\n".join("   " + json.dumps(shell) for shell in shells(element, name))
        entries.append(f'  "{element}": [\n{text}\n  ]')
    PATH.write_text(
        '{\n "name": "gth-dzvp",\n "source": '
        + json.dumps(SOURCE.format(version=pyscf.__version__))
        + ',\n "elements": {\n'
        + ",\n".join(entries)
        + "\n }\n}\n"
    )
    print(f"written: {PATH.name} ({PATH.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
