"""Which cells and compositions the cathode data have, and which part each composition is in.

The parts were fixed here before any density was calculated. A composition is the ratio Ni:Mn:Co
together with the lithiation x of Li(x)MO2; all structures of one composition, in whatever cell, are
in one part.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

CELLS = {
    # Rows are supercell vectors in units of (a1, a2, s): a1 and a2 span one layer at 120 degrees,
    # s = (2 a1 + a2 + c) / 3 leads to the next layer. Short vectors were chosen.
    "stacked": ((1, 0, 0), (0, 1, 0), (-2, -1, 3)),
    "planar": ((1, -1, 0), (1, 2, 0), (0, 0, 1)),
    "double": ((1, 0, 0), (1, 2, 0), (-2, -1, 3)),
    "triple": ((1, -1, 0), (1, 2, 0), (-1, 0, 2)),
    "quadruple": ((2, 0, 0), (0, 2, 0), (-1, -1, 2)),
}
"""Supercells: 3 layers of 1 metal, 1 layer of 3, 3 layers of 2, 2 layers of 3, 2 layers of 4."""

TRAIN, VALIDATION, TEST = "train", "validation", "test"


class Composition(NamedTuple):
    """A row of the design.

    Attributes:
        cell: key of `CELLS`.
        metals: numbers of Ni, Mn and Co atoms in the cell.
        lithium: number of Li atoms in the cell.
        count: how many distinct occupations to draw.
        part: part of the split.
    """

    cell: str
    metals: tuple[int, int, int]
    lithium: int
    count: int
    part: str

    @property
    def key(self) -> str:
        """The composition: ratio of Ni, Mn and Co, and x, as in "Ni2Mn1Co1_x1/2"."""
        divisor = gcd(*self.metals)
        ratio = "".join(
            f"{symbol}{number // divisor}"
            for symbol, number in zip(("Ni", "Mn", "Co"), self.metals, strict=True)
            if number
        )
        return f"{ratio}_x{Fraction(self.lithium, sum(self.metals))}"


DESIGN = (
    Composition("stacked", (1, 1, 1), 3, 1, TRAIN),
    Composition("stacked", (1, 1, 1), 2, 1, TEST),
    Composition("stacked", (1, 1, 1), 1, 1, TRAIN),
    Composition("stacked", (2, 1, 0), 2, 1, TRAIN),
    Composition("stacked", (2, 1, 0), 3, 1, TRAIN),
    Composition("stacked", (2, 0, 1), 3, 1, TEST),
    Composition("stacked", (0, 0, 3), 2, 1, TRAIN),
    Composition("stacked", (3, 0, 0), 1, 1, TRAIN),
    Composition("stacked", (0, 3, 0), 2, 1, TRAIN),
    Composition("stacked", (1, 2, 0), 2, 2, VALIDATION),
    Composition("stacked", (0, 1, 2), 1, 2, TEST),
    Composition("stacked", (1, 0, 2), 3, 1, TRAIN),
    Composition("stacked", (0, 2, 1), 2, 2, TRAIN),
    Composition("planar", (1, 1, 1), 3, 1, TRAIN),
    Composition("planar", (1, 1, 1), 2, 1, TEST),
    Composition("planar", (1, 1, 1), 1, 1, TRAIN),
    Composition("planar", (2, 1, 0), 3, 1, TRAIN),
    Composition("planar", (2, 1, 0), 1, 1, TRAIN),
    Composition("planar", (1, 0, 2), 1, 2, VALIDATION),
    Composition("planar", (0, 1, 2), 3, 1, TRAIN),
    Composition("planar", (2, 0, 1), 2, 2, TRAIN),
    Composition("planar", (1, 2, 0), 0, 1, TRAIN),
    Composition("planar", (0, 2, 1), 1, 1, TRAIN),
    Composition("double", (4, 1, 1), 6, 2, TEST),
    Composition("double", (3, 2, 1), 6, 1, TRAIN),
    Composition("double", (2, 2, 2), 6, 2, TRAIN),
    Composition("double", (3, 1, 2), 6, 1, VALIDATION),
    Composition("double", (1, 1, 4), 6, 1, TRAIN),
    Composition("double", (1, 4, 1), 6, 1, TRAIN),
    Composition("double", (3, 3, 0), 6, 1, TRAIN),
    Composition("double", (5, 0, 1), 6, 1, TRAIN),
    Composition("double", (2, 1, 3), 6, 1, TEST),
    Composition("double", (4, 1, 1), 3, 2, TEST),
    Composition("double", (3, 2, 1), 3, 1, TRAIN),
    Composition("double", (2, 2, 2), 3, 1, TRAIN),
    Composition("double", (2, 2, 2), 4, 1, TEST),
    Composition("double", (3, 3, 0), 2, 1, TRAIN),
    Composition("double", (5, 1, 0), 4, 1, TRAIN),
    Composition("triple", (3, 2, 1), 6, 1, TRAIN),
    Composition("triple", (2, 2, 2), 6, 1, TRAIN),
    Composition("triple", (3, 1, 2), 6, 1, VALIDATION),
    Composition("triple", (1, 1, 4), 6, 1, TRAIN),
    Composition("triple", (5, 1, 0), 6, 1, TRAIN),
    Composition("triple", (3, 3, 0), 6, 1, TRAIN),
    Composition("triple", (0, 3, 3), 6, 1, TRAIN),
    Composition("triple", (3, 2, 1), 3, 1, TRAIN),
    Composition("triple", (2, 2, 2), 3, 1, TRAIN),
    Composition("triple", (2, 2, 2), 5, 1, TRAIN),
    Composition("triple", (3, 1, 2), 4, 1, TRAIN),
    Composition("triple", (1, 1, 4), 5, 1, TRAIN),
    Composition("quadruple", (6, 1, 1), 4, 2, TRAIN),
    Composition("quadruple", (4, 2, 2), 4, 1, TRAIN),
    Composition("quadruple", (6, 1, 1), 6, 1, TEST),
    Composition("quadruple", (4, 2, 2), 6, 1, TRAIN),
    Composition("quadruple", (5, 1, 2), 4, 1, TRAIN),
)
"""Every composition that is calculated."""
