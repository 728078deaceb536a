"""Networks of light elements: diamond and graphite with atoms of several kinds.

    python recipes/crystals/light_networks.py runs/networks.extxyz --count 120
    deepdft dft run runs/networks.extxyz -o runs/networks.dft --program quantum-espresso \\
        kpoint_spacing=0.55 convergence=1e-6

Four atoms a cell. Diamond-like ones are zincblende whose layers take turns (space group P-4m2 or a
subgroup), graphite-like ones flat honeycombs above each other, their bonds as long as the radii of
their atoms and strained a little. They have four valence electrons an atom, as diamond has, so that
boron comes with nitrogen and beryllium with oxygen. Many do not exist; what is learned is how
covalent bonds between light atoms look. Frames have the keys of the crystals' pool, so that the
rule of the split holds (recipes/crystals/collect.py).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from collect import part_of
from frames import frame_info

VALENCE = {"Be": 2, "B": 3, "C": 4, "N": 5, "O": 6, "Al": 3, "Si": 4, "P": 5}
USUAL = {"B", "C", "N"}
MOST_UNUSUAL = 1
"""Atoms of other elements among four."""
KINDS = ("diamond", "graphite")
LAYERS = 2.9, 3.6
"""Distances between layers of graphite, Å."""
STRAIN = 0.03
"""Standard deviation of bond lengths, relative."""


def fillings() -> Iterator[tuple[str, str, str, str]]:
    """Yield elements of four sites: two on one sublattice, then two on the other."""
    pairs = list(itertools.combinations_with_replacement(VALENCE, 2))
    for first, second in itertools.combinations_with_replacement(pairs, 2):
        symbols = (*first, *second)
        unusual = sum(symbol not in USUAL for symbol in symbols)
        electrons = sum(VALENCE[symbol] for symbol in symbols)
        if electrons == 16 and unusual <= MOST_UNUSUAL and len(set(symbols)) > 1:
            yield symbols


def network(kind: str, symbols: tuple[str, ...], generator: np.random.Generator) -> Atoms:
    """Return a network whose mean bond is as long as radii say, up to a strain."""
    radii = [covalent_radii[atomic_numbers[symbol]] for symbol in symbols]
    bond = sum(radii) / 2 * (1 + generator.normal(scale=STRAIN))
    if kind == "diamond":
        edge = bond * 4 / np.sqrt(3)
        cell = np.array([edge / np.sqrt(2), edge / np.sqrt(2), edge])
        places = [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.5, 0.25), (0.5, 0, 0.75)]
    else:
        cell = np.array([3 * bond, np.sqrt(3) * bond, generator.uniform(*LAYERS)])
        places = [(0, 0, 0), (0.5, 0.5, 0), (1 / 3, 0, 0), (5 / 6, 0.5, 0)]
    return Atoms(symbols, scaled_positions=places, cell=cell, pbc=True)


def networks(count: int, seed: int) -> Iterator[Atoms]:
    """Yield networks of the training part."""
    generator = np.random.default_rng(seed)
    options = list(itertools.product(KINDS, fillings()))
    for number in generator.permutation(len(options))[:count]:
        kind, symbols = options[number]
        atoms = network(kind, symbols, generator)
        name = f"{'-'.join(symbols)}_{kind}-like"
        atoms.info = frame_info(atoms, name, "covalent", f"{kind}-like")
        if part_of(atoms.info["key"]) == "train":
            yield atoms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="extxyz file to write")
    parser.add_argument("--count", type=int, default=120, help="before the split's rule is applied")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    found = list(networks(arguments.count, arguments.seed))
    ase.io.write(arguments.output, found)
    print(f"{len(found)} crystals written to {arguments.output}")


if __name__ == "__main__":
    main()
