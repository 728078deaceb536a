"""Rows of an embedding for the atoms of a structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from deepdft.errors import UnsupportedStructureError


def known_elements(elements: Sequence[int]) -> tuple[int, ...]:
    """Return atomic numbers in ascending order, each once.

    Raises:
        UnsupportedStructureError: if there are none.
    """
    if not elements:
        raise UnsupportedStructureError("A model needs at least one element.")
    return tuple(sorted({int(z) for z in elements}))


def species_of(numbers: NDArray[np.int64], elements: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the index of each atomic number in `elements`.

    Raises:
        UnsupportedStructureError: naming the elements that the model does not know.
    """
    places = np.searchsorted(elements, numbers).clip(max=len(elements) - 1)
    unknown = sorted({int(z) for z in numbers[np.asarray(elements)[places] != numbers]})
    if unknown:
        raise UnsupportedStructureError(
            f"The model does not know {', '.join(chemical_symbols[z] for z in unknown)}; "
            f"it was trained on {', '.join(chemical_symbols[z] for z in elements)}."
        )
    return places
