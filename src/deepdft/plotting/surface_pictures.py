"""Pictures of isosurfaces with the atoms inside: for papers, and for a first look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.extras import import_extra
from deepdft.plotting.camera import Camera, framed, looking_along
from deepdft.plotting.enclosed import Enclosed
from deepdft.plotting.figures import BLUE, ORANGE, RESOLUTION, new_figure
from deepdft.plotting.levels import chosen_level, shown_level
from deepdft.plotting.meshes import Mesh, has_negative_lobe
from deepdft.plotting.renderer import Surface, render
from deepdft.plotting.scenes import Scene
from deepdft.plotting.structures import DrawnAtoms, element_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHELL = np.array([0.36, 0.62, 0.88])
"""Colour of the surface of a density."""

_GLASS = 0.26
_LOBE = 0.5
"""Opacities of the surface of a density, and of the lobes of a difference."""

_TITLE_HEIGHT = 0.3
_CAPTION_HEIGHT = 0.42
"""Inches above and below the surfaces."""

_MOST_LABELS = 80
"""Atoms that get their symbols written on them at most."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One isosurface of a picture.

    Attributes:
        density: what is shown.
        level: value on the surface, and its negative where there are negative lobes; None for one
            that shows much (see `deepdft.plotting.levels.chosen_level`).
        title: above it.
        positive: what the surface at a positive value is called in the legend of a difference.
        negative: the same of a negative one.
    """

    density: Density
    level: float | None = None
    title: str = ""
    positive: str = "more electrons"
    negative: str = "fewer electrons"


def surface_picture(
    panels: Sequence[Panel],
    *,
    view: ArrayLike | None = None,
    width: float = 3.5,
    resolution: int = RESOLUTION,
) -> Figure:
    """Return a figure of isosurfaces side by side, of the same structure and from the same side.

    Each comes with a scale, atoms with their symbols and bonds, the value on the surface and, of
    a density, the share of the electrons inside.

    Args:
        panels: what to show, from left to right.
        view: (3,) direction in which the viewer is; by default one that shows much.
        width: of each panel, inches.
        resolution: of the drawn surfaces, dots per inch.

    Raises:
        ConfigurationError: if the view is no direction.
        MissingDependencyError: if matplotlib or scikit-image is not installed.
    """
    scene = Scene.of(panels[0].density)
    atoms, edges = scene.atoms, scene.edges
    axes = scene.axes if view is None else looking_along(view)
    levels = [chosen_level(p.density) if p.level is None else abs(p.level) for p in panels]
    meshes = [
        scene.lobes(panel.density, level, smooth=True)
        for panel, level in zip(panels, levels, strict=True)
    ]
    extent = _extent(atoms, [mesh for found in meshes for mesh in found], edges)
    camera = framed(axes, extent, int(width * resolution))
    height = width * camera.half_size[1] / camera.half_size[0]
    above = _TITLE_HEIGHT if any(panel.title for panel in panels) else 0.0
    total = height + above + _CAPTION_HEIGHT
    figure = new_figure(width * len(panels), total, layout=None)
    for number, (panel, found, level) in enumerate(zip(panels, meshes, levels, strict=True)):
        subplot = figure.add_axes(
            (number / len(panels), _CAPTION_HEIGHT / total, 1 / len(panels), height / total)
        )
        surfaces = _surfaces(panel.density, found)
        half = camera.half_size
        subplot.imshow(
            render(camera, surfaces, atoms, edges),
            extent=(-half[0], half[0], -half[1], half[1]),
            interpolation="antialiased",
        )
        subplot.set_axis_off()
        _label(subplot, camera, atoms, width)
        _scale_bar(subplot, camera)
        if panel.title:
            subplot.set_title(panel.title, fontsize=9)
        _legend(subplot, panel, found, level)
    return figure


def _extent(atoms: DrawnAtoms, meshes: list[Mesh], edges: FloatArray | None) -> FloatArray:
    parts = [mesh.vertices for mesh in meshes]
    radii = atoms.radii[:, None]
    parts += [atoms.positions + radii * step for step in np.vstack([np.eye(3), -np.eye(3)])]
    if edges is not None:
        parts.append(edges.reshape(-1, 3))
    return np.concatenate(parts)


def _surfaces(density: Density, meshes: list[Mesh]) -> list[Surface]:
    if not has_negative_lobe(density.values):
        return [Surface(mesh, _SHELL, _GLASS) for mesh in meshes]
    colours = {True: np.array(BLUE), False: np.array(ORANGE)}
    return [Surface(mesh, 0.25 + 0.75 * colours[mesh.level > 0], _LOBE) for mesh in meshes]


def _label(subplot: Any, camera: Camera, atoms: DrawnAtoms, width: float) -> None:
    """Write the symbols on the atoms that no other atom hides."""
    if not len(atoms.positions) or len(atoms.positions) > _MOST_LABELS:
        return
    seen, radii = camera.seen(atoms.positions), atoms.radii
    # Points of print per Å.
    size = 72 * width / (2 * camera.half_size[0])
    for place, radius, symbol, colour in zip(
        seen, radii, atoms.symbols, atoms.colours, strict=True
    ):
        aside = np.linalg.norm(seen[:, :2] - place[:2], axis=1)
        if ((aside < 0.8 * radii) & (seen[:, 2] > place[2] + 1e-6)).any():
            continue
        dark = float(colour @ [0.3, 0.6, 0.1]) < 0.6
        subplot.text(
            *place[:2], symbol, ha="center", va="center_baseline", color="white" if dark else "0.1",
            fontsize=min(9.0, (1.15 if len(symbol) == 1 else 0.85) * radius * size),
            fontweight="bold",
        )  # fmt: skip


def _scale_bar(subplot: Any, camera: Camera) -> None:
    width, height = camera.half_size
    length = next((n for n in (10.0, 5.0, 2.0, 1.0) if n < 0.5 * width), 0.5)
    left, bottom = -width + 0.03 * width, -height + 0.04 * width
    subplot.plot([left, left + length], [bottom, bottom], color="0.15", lw=2, solid_capstyle="butt")
    subplot.text(
        left + length / 2, bottom + 0.035 * width, f"{length:g} Å", ha="center", va="bottom",
        fontsize=7,
    )  # fmt: skip


def _legend(subplot: Any, panel: Panel, meshes: list[Mesh], level: float) -> None:
    density, unit = panel.density, panel.density.unit.replace("^3", "³")
    if not has_negative_lobe(density.values):
        text = f"isosurface at {shown_level(level)} {unit}"
        if density.metadata.get("quantity", "density") == "density" and density.n_electrons > 0:
            share = 100 * Enclosed(density).share(level)
            text = f"electron density {text},\n{share:.3g} % of the electrons inside"
        subplot.text(
            0.5, -0.01, text, transform=subplot.transAxes, ha="center", va="top", fontsize=7
        )
        return
    patches = import_extra("matplotlib.patches", "A picture")
    signs = {True: ("+", panel.positive, BLUE), False: ("−", panel.negative, ORANGE)}
    handles = [
        patches.Patch(
            color=signs[mesh.level > 0][2],
            label=f"{signs[mesh.level > 0][0]}{shown_level(level)} {unit}: "
            f"{signs[mesh.level > 0][1]}",
        )
        for mesh in meshes
    ]
    subplot.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=1, frameon=False,
        fontsize=7, handlelength=1.2, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def element_patches(numbers: Sequence[int]) -> list[Any]:
    """Return a coloured patch for each element, for a legend, by atomic number."""
    from ase.data import chemical_symbols

    patches = import_extra("matplotlib.patches", "A picture")
    kinds = np.unique(np.asarray(numbers, dtype=np.int64))
    return [
        patches.Patch(facecolor=colour, edgecolor="0.3", lw=0.5, label=chemical_symbols[kind])
        for kind, colour in zip(kinds, element_colours(kinds), strict=True)
    ]
