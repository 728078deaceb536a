"""What a density is, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.density import Density


def describe_density(density: Density) -> list[tuple[str, str]]:
    """Return (heading, text) pairs: structure, cell, grid, electrons, spin, values and level."""
    return list(_describe(density))


def _describe(density: Density) -> Iterator[tuple[str, str]]:
    atoms, grid = density.atoms, density.grid
    quantity = density.metadata.get("quantity", "density")
    if quantity != "density":
        yield "quantity", f"{quantity} (not an electron density)"
    count = "1 atom" if len(atoms) == 1 else f"{len(atoms)} atoms"
    yield "formula", f"{atoms.symbols.formula.format('hill') or '-'} ({count})"
    axes = "".join(name for name, periodic in zip("abc", atoms.pbc, strict=True) if periodic)
    yield "periodic", {"": "no", "abc": "yes"}.get(axes, f"along {', '.join(axes)} only")
    if atoms.cell.rank == 3:
        yield "cell", _cell(np.asarray(atoms.cell))
    spacing = np.linalg.norm(grid.voxel, axis=1)
    counts = " x ".join(map(str, grid.shape))
    yield (
        "grid",
        (
            f"{counts} = {grid.n_points:,} points, "
            f"{' x '.join(f'{step:.4g}' for step in spacing)} Å apart"
        ),
    )
    if atoms.cell.rank < 3 or not np.allclose(grid.cell, np.asarray(atoms.cell), atol=1e-6):
        yield "box", _cell(grid.cell)
    if np.abs(grid.origin).max() > 1e-9:
        yield "origin", f"{', '.join(f'{x:.5g}' for x in grid.origin)} Å"
    if quantity in ("density", "difference-density", "partial-density"):
        yield "electrons", _electrons(density)
    yield "spin", _spin(density)
    low, high = float(density.values.min()), float(density.values.max())
    yield "minimum, maximum", f"{low:.6g}, {high:.6g} {density.unit}".rstrip()
    yield "level of theory", str(density.level)
    if density.metadata.get("comment"):
        yield "comment", str(density.metadata["comment"])
    if density.metadata.get("augmentation"):
        yield "one-centre terms", "augmentation occupancies are kept"


def _cell(cell: FloatArray) -> str:
    from ase.cell import Cell

    *lengths, alpha, beta, gamma = Cell(cell).cellpar()
    return (
        f"{', '.join(f'{length:.5g}' for length in lengths)} Å; "
        f"{alpha:.5g}, {beta:.5g}, {gamma:.5g} degrees; {abs(np.linalg.det(cell)):.6g} Å^3"
    )


def _electrons(density: Density) -> str:
    from deepdft.formats.electrons import ElectronCounts

    text = f"{density.n_electrons:.4f}"
    if len(density.atoms) == 0 or "quantity" in density.metadata:
        return text
    counts = ElectronCounts.of(density.atoms.numbers)
    if counts.fewest == counts.all_electron:
        return f"{text} (neutral: {counts.all_electron})"
    valence = str(counts.fewest)
    if counts.most != counts.fewest:
        valence += f" to {counts.most}"
    return f"{text} (neutral: {valence} valence electrons, {counts.all_electron} in all)"


def _spin(density: Density) -> str:
    total = density.total_spin
    if density.spin is None or total is None:
        return "not spin-polarised"
    absolute = float(np.abs(density.spin).sum(dtype=np.float64)) * density.grid.voxel_volume
    if isinstance(total, float):
        return f"up minus down {total:.4f}, |up minus down| integrates to {absolute:.4f}"
    return f"magnetisation {', '.join(f'{x:.4f}' for x in total)} (non-collinear)"
