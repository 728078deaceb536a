"""What data-file-schema.xml in Quantum ESPRESSO's save folder says of the calculation.

Schema: https://www.quantum-espresso.org/Doc/INPUT_PW.html names the variables,
http://www.quantum-espresso.org/ns/qes the elements; lengths are bohr, energies hartree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from ase import Atoms

from deepdft.errors import FileFormatError
from deepdft.formats.elements import atomic_number
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

NAME = "data-file-schema.xml"
_FUNCTIONALS = {"SLA PW PBX PBC": "PBE", "SLA PZ NOGX NOGC": "LDA", "PZ": "LDA", "PW": "LDA"}


@dataclass(frozen=True)
class Calculation:
    """One calculation of pw.x.

    Attributes:
        path: the file that says so.
        atoms: the periodic structure.
        shape: points of the dense grid, (nx, ny, nz).
        electrons: their count.
        level: functional and code.
        pseudopotentials: names of their files.
    """

    path: str
    atoms: Atoms
    shape: tuple[int, int, int]
    electrons: float
    level: LevelOfTheory
    pseudopotentials: tuple[str, ...] = ()


def read_calculation(path: str | Path) -> Calculation:
    """Read a data-file-schema.xml.

    Raises:
        FileFormatError: if it is not one, or damaged.
    """
    try:
        root = ElementTree.parse(path).getroot()
        output = root.find("output")
        if output is None:
            raise ValueError("there is no element <output>; the calculation did not end")
        structure = _element(output, "atomic_structure")
        cell = np.array([_numbers(structure, f"cell/a{i}") for i in (1, 2, 3)]).reshape(3, 3) * BOHR
        species = [
            (atom.get("name") or "", atom.text or "")
            for atom in structure.findall("atomic_positions/atom")
        ]
        numbers = [atomic_number(name) for name, _ in species]
        if not numbers or None in numbers:
            raise ValueError("the atoms are missing or their species name no elements")
        positions = np.array([list(map(float, text.split())) for _, text in species]) * BOHR
        mesh = _element(output, "basis_set/fft_grid")
        nx, ny, nz = (int(mesh.get(name) or 0) for name in ("nr1", "nr2", "nr3"))
        if min(nx, ny, nz) < 1 or not (np.isfinite(cell).all() and np.isfinite(positions).all()):
            raise ValueError("the grid or the structure makes no sense")
        return Calculation(
            str(path),
            Atoms(numbers=numbers, positions=positions.reshape(-1, 3), cell=cell, pbc=True),
            (nx, ny, nz),
            _numbers(output, "band_structure/nelec")[0],
            _level(root, output),
            tuple(
                (kind.findtext("pseudo_file") or "").strip()
                for kind in output.findall("atomic_species/species")
            ),
        )
    except ElementTree.ParseError as error:
        raise FileFormatError(f"{path} is not XML, or damaged: {error}.") from None
    except (OSError, ValueError, LookupError, OverflowError) as error:  # of encodings, too
        raise FileFormatError(
            f"{path} cannot be used as the description of a calculation of pw.x: {error}."
        ) from None


def _element(parent: ElementTree.Element, path: str) -> ElementTree.Element:
    found = parent.find(path)
    if found is None:
        raise ValueError(f"there is no element <{path}>")
    return found


def _numbers(parent: ElementTree.Element, path: str) -> list[float]:
    return [float(word) for word in (_element(parent, path).text or "").split()]


def _level(root: ElementTree.Element, output: ElementTree.Element) -> LevelOfTheory:
    functional = (output.findtext("dft/functional") or "").strip()
    cutoff = output.findtext("basis_set/ecutwfc")
    creator = root.find("general_info/creator")
    version = "" if creator is None else creator.get("VERSION") or ""
    return LevelOfTheory(
        functional=_FUNCTIONALS.get(functional, functional),
        basis=f"{2 * float(cutoff):g} Ry" if cutoff else "",
        code=f"Quantum ESPRESSO {version.removesuffix('MaX')}".strip(),
    )
