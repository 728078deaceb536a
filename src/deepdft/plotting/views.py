"""A density as an interactive view: one piece of HTML that needs no network."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.plotting.differences import difference_of
from deepdft.plotting.enclosed import Enclosed
from deepdft.plotting.levels import chosen_level, shown_level
from deepdft.plotting.meshes import Mesh, has_negative_lobe
from deepdft.plotting.scenes import Scene

_POINTS = 120_000
"""Grid points of a surface at most: a view is some megabytes at most."""

_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Of the electrons inside the surfaces that the slider offers."""

_FACTORS = (4.0, 2.0, 1.0, 0.5, 0.25)
"""Of the isovalue of a difference that the slider offers."""


@dataclass(frozen=True, eq=False)
class View:
    """An interactive picture; in a notebook it shows itself.

    Attributes:
        html: a whole HTML document, library and surfaces included.
        height: in a notebook, pixels.
    """

    html: str
    height: int = 460

    def write(self, path: str | Path) -> None:
        """Write the document to a file, which any browser opens, without a network too."""
        from deepdft.storage.whole_files import replace_file

        replace_file(Path(path), self.html.encode())

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="electron density" srcdoc="{html.escape(self.html, quote=True)}" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )


def view(
    density: Density,
    *,
    iso: float | None = None,
    difference: Density | None = None,
    mix_levels: bool = False,
    title: str = "",
    height: int = 460,
) -> View:
    """Return an interactive view of a density: atoms, bonds and an isosurface with a slider.

    Args:
        density: what to show.
        iso: value on the surface, in the unit of the density; by default one that shows much.
        difference: show ``density - difference`` instead; on another grid it is resampled.
        mix_levels: subtract although the levels of theory differ.
        title: what it is called; by default the formula.
        height: in a notebook, pixels.

    Raises:
        LevelOfTheoryError: if levels of theory would be mixed and `mix_levels` is not set.
        MissingDependencyError: if scikit-image is not installed.

    Example:
        >>> from ase.build import molecule
        >>> import deepdft
        >>> density = deepdft.predict(molecule("H2O"), spacing=0.3)
        >>> deepdft.view(density, iso=0.3).html.startswith("<!doctype html>")
        True
    """
    if difference is not None:
        density = difference_of(density, difference, mix_levels=mix_levels)
    name = title or density.atoms.get_chemical_formula() or "electron density"
    folder = files("deepdft.plotting") / "viewer"
    library = (folder / "3Dmol-min.js").read_text(encoding="utf-8")
    template = (folder / "view.html").read_text(encoding="utf-8")
    # Nothing in a script may look like the end of it.
    data = json.dumps(_data(density, iso), ensure_ascii=False).replace("</", "<\\/")
    for mark, text in (
        ("@TITLE@", html.escape(name)),
        ("@DATA@", data),
        ("@LIBRARY@", library.replace("</script", "<\\/script")),
    ):
        template = template.replace(mark, text)
    return View(template, height)


def _data(density: Density, iso: float | None) -> dict[str, Any]:
    signed = has_negative_lobe(density.values)
    first = abs(iso) if iso is not None else chosen_level(density)
    levels = _levels(density, first, signed)
    scene = Scene.of(density)
    atoms = scene.atoms
    return {
        "signed": signed,
        "first": levels.index(first),
        "rotation": _quaternion(scene.axes),
        "atoms": [
            {"elem": symbol, **_place(place), "bonds": bonds, "bondOrder": [1] * len(bonds)}
            for symbol, place, bonds in zip(
                atoms.symbols, atoms.positions, atoms.partners, strict=True
            )
        ],
        "edges": [[_place(a), _place(b)] for a, b in (() if scene.edges is None else scene.edges)],
        "levels": [
            {
                "words": _words(density, level, signed),
                "pieces": [
                    {**_packed(piece), "positive": mesh.level > 0}
                    for mesh in scene.lobes(density, level, _POINTS)
                    for piece in mesh.pieces()
                ],
            }
            for level in levels
        ],
    }


def _levels(density: Density, first: float, signed: bool) -> list[float]:
    """Return the levels of the slider, from the smallest surface to the largest."""
    if signed or density.n_electrons <= 0:
        return sorted({first * factor for factor in _FACTORS}, reverse=True)
    enclosed = Enclosed(density)
    others = [float(f"{enclosed.level(share):.2g}") for share in _SHARES]
    apart = [level for level in others if abs(level / first - 1) > 0.1]
    return sorted({first, *apart}, reverse=True)


def _words(density: Density, level: float, signed: bool) -> str:
    """Return what the surface is, as HTML."""
    unit = html.escape(density.unit.replace("^3", "³"))
    shown = shown_level(level)
    if signed:
        return (
            f'<span class="key more">+{shown} {unit}: more electrons</span> &ensp; '
            f'<span class="key less">−{shown} {unit}: fewer electrons</span>'
        )
    if density.metadata.get("quantity", "density") != "density" or density.n_electrons <= 0:
        return f"isosurface at {shown} {unit}"
    share = 100 * Enclosed(density).share(level)
    return (
        f"electron density isosurface at {shown} {unit} "
        f"<small>({share:.3g} % of the electrons are inside)</small>"
    )


def _packed(mesh: Mesh) -> dict[str, Any]:
    """Return a piece of a surface in few bytes: places within its box in 16 bits, normals in 8."""
    low = mesh.vertices.min(axis=0)
    step = np.maximum(np.ptp(mesh.vertices, axis=0), 1e-6) / 65535
    return {
        "low": low.tolist(),
        "step": step.tolist(),
        "vertices": _text(np.rint((mesh.vertices - low) / step).astype("<u2")),
        "normals": _text(np.rint(127 * mesh.normals).astype("i1")),
        "faces": _text(mesh.faces.astype("<u2")),
    }


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _place(point: FloatArray) -> dict[str, float]:
    return dict(zip("xyz", (round(float(x), 5) for x in point), strict=True))


def _quaternion(axes: FloatArray) -> list[float]:
    """Return the turn (x, y, z, w) that brings the axes of a camera to right, up and viewer."""
    from scipy.spatial.transform import Rotation

    return [float(x) for x in Rotation.from_matrix(axes).as_quat()]
