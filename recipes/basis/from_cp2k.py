"""Turn a basis set of CP2K's data files into one that ships with the package.

    python recipes/basis/from_cp2k.py /usr/share/cp2k/BASIS_MOLOPT DZVP-MOLOPT-SR-GTH \\
        H Li B C N O F Na Mg Al Si P S Cl K Ca Br

A block is `ELEMENT NAME ALIASES...`, the number of sets, and for every set a line
`n lmin lmax nexp nshell(lmin) ... nshell(lmax)` and nexp lines of an exponent with all
coefficients, angular momentum by angular momentum.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "src" / "deepdft" / "fields" / "orbitals"


def read_block(lines: list[str], element: str, name: str) -> list[dict]:
    """Return the shells of one element.

    Raises:
        ValueError: if the file has no such block.
    """
    for number, line in enumerate(lines):
        words = line.split()
        if words[:1] == [element] and name in words[1:]:
            return _shells(lines, number + 1)
    raise ValueError(f"There is no block {element} {name}.")


def _shells(lines: list[str], position: int) -> list[dict]:
    shells: list[dict] = []
    sets = int(lines[position])
    position += 1
    for _ in range(sets):
        _, lowest, highest, count, *widths = (int(word) for word in lines[position].split())
        rows = [
            [float(word) for word in line.split()]
            for line in lines[position + 1 : position + 1 + count]
        ]
        column = 1
        for momentum, width in zip(range(lowest, highest + 1), widths, strict=True):
            shells.append(
                {
                    "angular_momentum": momentum,
                    "exponents": [row[0] for row in rows],
                    "coefficients": [row[column : column + width] for row in rows],
                }
            )
            column += width
        position += 1 + count
    return shells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="CP2K's file of basis sets")
    parser.add_argument("name", help="name of the basis set in it")
    parser.add_argument("elements", nargs="+")
    parser.add_argument(
        "--source", default="VandeVondele and Hutter, J. Chem. Phys. 127, 114105 (2007)"
    )
    arguments = parser.parse_args()
    lines = [line for line in arguments.file.read_text().splitlines() if line.strip()[:1] != "#"]
    name = arguments.name.lower()
    entries = []
    for element in arguments.elements:
        shells = ",\n".join(
            "   " + json.dumps(s) for s in read_block(lines, element, arguments.name)
        )
        entries.append(f'  "{element}": [\n{shells}\n  ]')
    source = (
        f"CP2K basis set file {arguments.file.name}, entry {arguments.name} ({arguments.source}). "
        "Exponents in bohr^-2; coefficients of normalised primitives, one row for each exponent "
        "and one column for each radial function."
    )
    path = FOLDER / f"{name}.json"
    path.write_text(
        f'{{\n "name": "{name}",\n "source": {json.dumps(source)},\n "elements": {{\n'
        + ",\n".join(entries)
        + "\n }\n}\n"
    )
    print(f"written: {path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
