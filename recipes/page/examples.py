"""The structures that the local page offers by name: geometries of GFN2-xTB, measured crystals.

    python recipes/page/examples.py

writes src/deepdft/web/examples.json. Needs the extras `rdkit` and `xtb`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from deepdft.structures import ReadOptions, read_structures

TARGET = Path(__file__).parents[2] / "src" / "deepdft" / "web" / "examples.json"

FIRST = (
    "water", "caffeine", "salt", "ethanol", "benzene", "diamond", "aspirin", "quartz", "glucose",
    "copper",
)  # fmt: skip
"""What visitors see first: something of everything."""

MOLECULES = [
    ("water", "Water", "O", "Two bonds, two lone pairs and a strong dipole."),
    ("ammonia", "Ammonia", "N", "A lone pair on top of three bonds."),
    ("methane", "Methane", "C", "The simplest organic molecule; it has no dipole."),
    ("carbon-dioxide", "Carbon dioxide", "O=C=O", "Two polar bonds that cancel each other."),
    ("hydrogen-cyanide", "Hydrogen cyanide", "C#N", "A triple bond; small and very polar."),
    ("ethylene", "Ethylene", "C=C", "The double bond at its simplest."),
    ("acetylene", "Acetylene", "C#C", "The triple bond: a barrel of electrons."),
    ("formaldehyde", "Formaldehyde", "C=O", "A carbonyl group pulls electrons to oxygen."),
    ("ethanol", "Ethanol", "CCO", "One end like water, one like oil."),
    ("acetic-acid", "Acetic acid", "CC(=O)O", "What makes vinegar sour."),
    ("urea", "Urea", "NC(N)=O", "The first substance of life that was made in a flask."),
    ("glycine", "Glycine", "NCC(=O)O", "The smallest amino acid."),
    ("benzene", "Benzene", "c1ccccc1", "Six equal bonds: electrons without an address."),
    ("naphthalene", "Naphthalene", "c1ccc2ccccc2c1", "Two rings that share a bond: mothballs."),
    ("phenol", "Phenol", "Oc1ccccc1", "A ring that gives its proton away more easily."),
    ("vanillin", "Vanillin", "COc1cc(C=O)ccc1O", "The smell of vanilla."),
    ("paracetamol", "Paracetamol", "CC(=O)Nc1ccc(O)cc1", "A medicine against pain and fever."),
    ("aspirin", "Aspirin", "CC(=O)Oc1ccccc1C(=O)O", "21 atoms against headache."),
    ("caffeine", "Caffeine", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "Sits where adenosine would."),
    ("adenine", "Adenine", "Nc1ncnc2[nH]cnc12", "The letter A of DNA."),
    ("glucose", "Glucose", "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O", "Grape sugar."),
    ("dimethyl-sulfoxide", "Dimethyl sulfoxide", "CS(C)=O", "A solvent; its sulfur is positive."),
    ("chloroform", "Chloroform", "ClC(Cl)Cl", "A solvent; chlorine has a positive cap."),
    ("ammonium", "Ammonium ion", "[NH4+]", "A positive ion: it attracts electrons all around."),
    ("acetate", "Acetate ion", "CC(=O)[O-]", "A negative ion; both oxygen atoms are equal."),
]
"""Key, name, SMILES and a few words."""

CRYSTALS: list[tuple[str, str, Atoms, str]] = [
    (
        "salt", "Table salt, NaCl", bulk("NaCl", "rocksalt", a=5.640, cubic=True),
        "Ions: round clouds with next to nothing between them.",
    ),
    (
        "diamond", "Diamond", bulk("C", "diamond", a=3.567, cubic=True),
        "Bonds in four directions make the hardest mineral.",
    ),
    (
        "silicon", "Silicon", bulk("Si", "diamond", a=5.431, cubic=True),
        "Built as diamond; most chips are made of it.",
    ),
    (
        "graphite", "Graphite",
        crystal("CC", [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], spacegroup=194,
                cellpar=[2.461, 2.461, 6.708, 90, 90, 120]),
        "Carbon in sheets; between these there is almost nothing.",
    ),
    (
        "copper", "Copper", bulk("Cu", "fcc", a=3.615, cubic=True),
        "A metal: electrons between the atoms belong to all.",
    ),
    (
        "aluminium", "Aluminium", bulk("Al", "fcc", a=4.050, cubic=True),
        "Three electrons an atom, spread almost evenly.",
    ),
    (
        "magnesia", "Magnesium oxide, MgO", bulk("MgO", "rocksalt", a=4.212, cubic=True),
        "Built as salt, with twice the charges.",
    ),
    (
        "fluorite", "Fluorite, CaF2",
        crystal("CaF", [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225,
                cellpar=[5.463, 5.463, 5.463, 90, 90, 90]),
        "The mineral that fluorine has its name from.",
    ),
    (
        "gallium-arsenide", "Gallium arsenide, GaAs",
        bulk("GaAs", "zincblende", a=5.653, cubic=True),
        "Bonds as in silicon, drawn a little to arsenic.",
    ),
    (
        "quartz", "Quartz, SiO2",
        crystal("SiO", [(0.4697, 0, 1 / 3), (0.4135, 0.2669, 0.2142)], spacegroup=152,
                cellpar=[4.9134, 4.9134, 5.4052, 90, 90, 120]),
        "Sand: every oxygen links two silicon atoms.",
    ),
    (
        "rutile", "Titanium dioxide, TiO2",
        crystal("TiO", [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136,
                cellpar=[4.5937, 4.5937, 2.9587, 90, 90, 90]),
        "The white of paint and of toothpaste.",
    ),
    (
        "perovskite", "Strontium titanate, SrTiO3",
        crystal(("Sr", "Ti", "O"), [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221,
                cellpar=[3.905, 3.905, 3.905, 90, 90, 90]),
        "The perovskite of textbooks.",
    ),
    (
        "battery", "Battery cathode, LiCoO2",
        crystal(("Li", "Co", "O"), [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)], spacegroup=166,
                cellpar=[2.816, 2.816, 14.05, 90, 90, 120]),
        "Layers of oxide with lithium between them.",
    ),
]  # fmt: skip
"""Key, name, structure from measured lattice constants and a few words."""


def main() -> None:
    """Write the file."""
    found: list[dict[str, Any]] = []
    for key, name, smiles, words in MOLECULES:
        (structure,) = read_structures(smiles, ReadOptions(relax=True))
        atoms = structure.atoms
        atoms.positions -= atoms.positions.mean(axis=0)
        # The longest direction lies along x, the shortest along z: seen from z it is widest.
        _, _, axes = np.linalg.svd(atoms.positions)
        atoms.positions = atoms.positions @ (axes * np.sign(np.linalg.det(axes))).T
        found.append(_entry(key, name, atoms, words, "molecule"))
    for key, name, atoms, words in CRYSTALS:
        found.append(_entry(key, name, atoms, words, "crystal"))
    found.sort(key=lambda e: FIRST.index(e["key"]) if e["key"] in FIRST else len(FIRST))
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in found)
    TARGET.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{TARGET}: {len(found)} structures")


def _entry(key: str, name: str, atoms: Atoms, words: str, kind: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "key": key,
        "name": name,
        "kind": kind,
        "words": words,
        "symbols": str(atoms.symbols),
        "positions": np.round(atoms.positions, 4).tolist(),
    }
    if kind == "crystal":
        entry["cell"] = np.round(np.asarray(atoms.cell), 4).tolist()
    elif atoms.info.get("charge"):
        entry["charge"] = atoms.info["charge"]
    return entry


if __name__ == "__main__":
    main()
