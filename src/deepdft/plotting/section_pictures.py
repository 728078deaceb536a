"""Pictures of a plane through a density, and of the density along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.extras import import_extra
from deepdft.plotting.figures import BLUE, ORANGE, new_figure
from deepdft.plotting.meshes import has_negative_lobe
from deepdft.plotting.planes import Plane, values_at
from deepdft.plotting.scenes import Scene
from deepdft.plotting.structures import DrawnAtoms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPACING = 0.04
"""Between the points of a plane, Å."""

_NEAR = 0.3
_VISIBLE = 1.2
"""Atoms within these distances from a plane are drawn filled, and as rings, Å."""

_BEYOND = 0.25
"""How far a line goes on behind its ends, of its length."""


def slice_picture(density: Density, plane: Plane, title: str = "", width: float = 3.5) -> Figure:
    """Return a figure of a density on a plane.

    Colours of a density are on a logarithmic scale with a contour line for each factor of two;
    those of a difference are linear, symmetric about zero, blue above and orange below.

    Args:
        density: what to show.
        plane: where.
        title: above it.
        width: inches.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    values = values_at(density, plane.points(_SPACING))
    half = plane.half_size
    extent = (-half[0], half[0], -half[1], half[1])
    height = (width - 0.9) * min(half[1] / half[0], 2.5) + 0.75
    figure = new_figure(width, height)
    subplot = figure.add_subplot()
    signed = has_negative_lobe(density.values)
    image = _signed(subplot, values, extent) if signed else _positive(subplot, values, extent)
    _mark_atoms(subplot, density, plane)
    subplot.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")
    subplot.set_xlabel("Å", fontsize=8)
    subplot.set_ylabel("Å", fontsize=8)
    subplot.tick_params(labelsize=7)
    if title:
        subplot.set_title(title, fontsize=9)
    bar = figure.colorbar(image, ax=subplot, extend="both" if signed else "min", shrink=0.9)
    bar.set_label(_quantity(density), fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def line_picture(
    densities: list[tuple[str, Density]], start: FloatArray, end: FloatArray, width: float = 3.5
) -> Figure:
    """Return a figure of densities along a line from one point to another, and a little beyond.

    Atoms within 0.3 Å of the line are marked.

    Args:
        densities: name and density of each curve.
        start: (3,) where the line begins, Å.
        end: (3,) where it ends, Å.
        width: inches.

    Raises:
        ConfigurationError: if both ends are the same point.
        MissingDependencyError: if matplotlib is not installed.
    """
    length = float(np.linalg.norm(end - start))
    if length < 1e-6:
        raise ConfigurationError("The line has no length: both ends are the same point.")
    direction = (end - start) / length
    places = np.linspace(-_BEYOND * length, (1 + _BEYOND) * length, 601)
    points = start + places[:, None] * direction
    figure = new_figure(width, 0.72 * width)
    subplot = figure.add_subplot()
    styles = ["-", "--", ":", "-."]
    colours = [BLUE, ORANGE, (0.0, 0.62, 0.451), (0.8, 0.475, 0.655)]
    for number, (name, density) in enumerate(densities):
        subplot.plot(
            places, values_at(density, points), styles[number % 4], color=colours[number % 4],
            lw=1.4, label=name,
        )  # fmt: skip
    first = densities[0][1]
    if not any(has_negative_lobe(density.values) for _, density in densities):
        subplot.set_ylim(bottom=0)
    else:
        subplot.axhline(0, color="0.6", lw=0.6)
    for place, symbol in _atoms_on(first, start, direction, places[[0, -1]]):
        subplot.axvline(place, color="0.75", lw=0.8, zorder=0)
        subplot.text(
            place, 1.01, symbol, transform=subplot.get_xaxis_transform(), ha="center", fontsize=8
        )
    subplot.set_xlim(places[0], places[-1])
    subplot.set_xlabel("distance / Å", fontsize=8)
    subplot.set_ylabel(_quantity(first), fontsize=8)
    subplot.tick_params(labelsize=7)
    if len(densities) > 1:
        subplot.legend(fontsize=7, frameon=False)
    return figure


def _positive(subplot: Any, values: FloatArray, extent: tuple[float, ...]) -> Any:
    colours = import_extra("matplotlib.colors", "A picture")
    largest = float(np.nanmax(values, initial=1e-12))
    top = 2.0 ** np.floor(np.log2(max(largest, 1e-12)))
    top = min(top, 4.0) if largest > 1e-3 else top
    lowest = top / 2**11
    image = subplot.imshow(
        np.maximum(values, lowest / 2), origin="lower", extent=extent, cmap="PuBu",
        norm=colours.LogNorm(lowest, top), interpolation="bilinear",
    )  # fmt: skip
    steps = lowest * 2.0 ** np.arange(0, 15)
    subplot.contour(
        values, levels=steps[steps < largest], extent=extent, colors="0.25", linewidths=0.35
    )
    return image


def _signed(subplot: Any, values: FloatArray, extent: tuple[float, ...]) -> Any:
    colours = import_extra("matplotlib.colors", "A picture")
    known = values[np.isfinite(values)]
    limit = float(np.percentile(np.abs(known), 99.5)) if len(known) else 1.0
    limit = limit or 1.0
    between = colours.LinearSegmentedColormap.from_list("gain", [ORANGE, (1, 1, 1), BLUE], 512)
    image = subplot.imshow(
        values, origin="lower", extent=extent, cmap=between, vmin=-limit, vmax=limit,
        interpolation="bilinear",
    )  # fmt: skip
    steps = limit * np.array([0.1, 0.3, 0.6])
    for levels, style in ((steps, "solid"), (-steps[::-1], "dashed")):
        subplot.contour(
            values, levels=levels, extent=extent, colors="0.3", linewidths=0.4, linestyles=style
        )
    return image


def _mark_atoms(subplot: Any, density: Density, plane: Plane) -> None:
    circle = import_extra("matplotlib.patches", "A picture").Circle
    atoms = _atoms_around(density)
    seen = plane.seen(atoms.positions)
    near = np.abs(seen[:, 2]) < _VISIBLE
    for pair in atoms.bonds[near[atoms.bonds].all(axis=1)]:
        subplot.plot(*seen[pair, :2].T, color="0.2", lw=0.8, alpha=0.6)
    for place, symbol, colour in zip(
        seen[near], np.array(atoms.symbols)[near], atoms.colours[near], strict=True
    ):
        inside = abs(place[2]) < _NEAR
        if (np.abs(place[:2]) > np.array(plane.half_size) + 1e-6).any():
            continue
        subplot.add_patch(
            circle(place[:2], 0.24, facecolor=colour if inside else "none", edgecolor="0.15",
                   lw=0.7, zorder=3)
        )  # fmt: skip
        if inside:
            dark = float(np.asarray(colour) @ [0.3, 0.6, 0.1]) < 0.6
            subplot.text(
                *place[:2], symbol, ha="center", va="center_baseline", fontsize=6.5, zorder=4,
                color="white" if dark else "0.1", clip_on=True,
            )  # fmt: skip


def _atoms_around(density: Density) -> DrawnAtoms:
    """Return the atoms of a box and, where they repeat, of those around it."""
    return Scene.of(density).atoms_within(((-1.0, 2.0), (-1.0, 2.0), (-1.0, 2.0)))


def _atoms_on(
    density: Density, start: FloatArray, direction: FloatArray, ends: FloatArray
) -> list[tuple[float, str]]:
    atoms = _atoms_around(density)
    along = (atoms.positions - start) @ direction
    aside = np.linalg.norm(atoms.positions - start - along[:, None] * direction, axis=1)
    on = (aside < _NEAR) & (along >= ends[0]) & (along <= ends[1])
    return [
        (float(place), symbol)
        for place, symbol, there in zip(along, atoms.symbols, on, strict=True)
        if there
    ]


def _quantity(density: Density) -> str:
    unit = density.unit.replace("^3", "³")
    name = density.metadata.get("quantity", "density").replace("-", " ")
    name = "electron density" if name == "density" else name
    return f"{name} / ({unit})" if unit else name
