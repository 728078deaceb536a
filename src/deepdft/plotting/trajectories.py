"""Properties along a trajectory, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.plotting.figures import new_figure, png
from deepdft.storage.whole_files import replace_file

_LINES = 6
"""Most atoms whose charges are drawn: those whose charges change most."""


def plot_properties(found: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw energy, dipole and charges by frame, and write a PNG.

    Args:
        found: properties of the frames, as `Properties.as_dict` gives them.
        path: file to write.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    frames = np.arange(1, len(found) + 1)
    panels: list[tuple[str, dict[str, Any]]] = []
    energies = _column(found, "energy_eV")
    if energies is not None:
        panels.append(("energy / eV, from the lowest", {"": energies - np.nanmin(energies)}))
    dipoles = _column(found, "dipole_D")
    if dipoles is not None:
        panels.append(("dipole / D", {"": dipoles}))
    if len({tuple(each["symbols"]) for each in found}) == 1:
        charges = np.array([each["hirshfeld_charges_e"] for each in found])
        chosen = np.sort(np.argsort(-np.ptp(charges, axis=0), kind="stable")[:_LINES])
        symbols = found[0]["symbols"]
        lines = {f"{symbols[atom]}{atom + 1}": charges[:, atom] for atom in chosen}
        panels.append(("Hirshfeld charge / e", lines))
    figure = new_figure(6.5, 2.2 * max(1, len(panels)))
    for place, (label, lines) in enumerate(panels, 1):
        axes = figure.add_subplot(len(panels), 1, place)
        for name, values in lines.items():
            axes.plot(frames, values, marker=".", label=name or None)
        axes.set_ylabel(label)
        if len(lines) > 1:
            axes.legend(fontsize="small", ncols=2)
        if place == len(panels):
            axes.set_xlabel("frame")
    replace_file(path, png(figure))


def _column(found: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = [each[name] for each in found]
    if all(value is None for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
