"""`deepdft plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdft.cli.common import give
from deepdft.cli.inputs import Quantity, ReaderOptions, Unit, read_density, reader_options
from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepdft.arrays import FloatArray
    from deepdft.density import Density

ATOMS = "atoms"
"""What is subtracted instead of another file: the atoms as if they were alone."""

_WORDS = {ATOMS: "superposed atoms"}


def plot(
    rho: Annotated[str, typer.Argument(metavar="RHO", help="A density file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Picture: .png, .svg, or .html (turns in a browser; isosurfaces only). "
            "Default: NAME.png in the working directory.",
        ),
    ] = None,
    iso: Annotated[
        float | None,
        typer.Option(help="Value on the surface, e/Å^3 [default: one that shows much]."),
    ] = None,
    slice: Annotated[
        str | None,
        typer.Option(
            metavar="HKL",
            help="Show a plane: Miller indices as 001 or 1-10, or 'atoms' for the plane closest to "
            "all nuclei.",
        ),
    ] = None,
    shift: Annotated[
        float, typer.Option(help="How far to move the plane along its normal, Å.")
    ] = 0.0,
    line: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Show the values along a line: atoms by number, from 0, or points as x,y,z in Å.",
        ),
    ] = None,
    difference: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER",
            help="Show RHO - OTHER: another density file, or 'atoms' for superposed free atoms.",
        ),
    ] = None,
    view: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="X Y Z", help="Direction in which the viewer of a surface is."),
    ] = None,
    title: Annotated[str, typer.Option(help="Words above the picture.")] = "",
    width: Annotated[float, typer.Option(min=1.0, max=20.0, help="Inches.")] = 3.5,
    dpi: Annotated[int, typer.Option(min=50, max=1200, help="Dots per inch.")] = 300,
    mix_levels: Annotated[
        bool, typer.Option("--mix-levels", help="Subtract different levels of theory all the same.")
    ] = False,
    quantity: Quantity = None,
    unit: Unit = None,
    read: ReaderOptions = None,
) -> None:
    """Draw a density: an isosurface with its atoms, a plane, or a line."""
    from rich.console import Console

    from deepdft.plotting.differences import difference_of
    from deepdft.plotting.figures import picture
    from deepdft.storage.whole_files import replace_file

    if sum(choice is not None for choice in (iso, slice, line)) > 1:
        raise ConfigurationError("Give one of --iso, --slice and --line.")
    path = _picture_path(rho, output, flat=slice is not None or line is not None)
    density = read_density(rho, reader_options(quantity, unit, others=read))
    other = None if difference is None else _other(difference, density)
    shown = density if other is None else difference_of(density, other, mix_levels=mix_levels)
    if path.suffix.lower() == ".html":
        from deepdft.plotting.views import view as interactive

        interactive(shown, iso=iso, title=title).write(path)
    else:
        if slice is not None:
            figure = _slice(shown, slice, shift, title, width)
        elif line is not None:
            curves = [(Path(rho).name, density)]
            if difference is not None and other is not None:
                curves.append((_name(difference), other))
            figure = _line(curves, line, width)
        else:
            figure = _surface(shown, iso, title, view, width, dpi, difference)
        replace_file(path, picture(figure, path.suffix, dpi))
    Console(highlight=False, soft_wrap=True, markup=False).print(f"written: {path}")
    give({"file": path})


def superposed_atoms(density: Density) -> Density:
    """Return the superposed free atoms of a density's structure, on its grid.

    Raises:
        ConfigurationError: if no atoms of its level of theory are shipped.
    """
    from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
    from deepdft.fields.atoms.choice import tables_for_level
    from deepdft.fields.walk import density_on

    name = tables_for_level(density.level, sorted(set(density.atoms.numbers.tolist())))
    field = SuperposedAtoms(AtomicDensityTables.load(name), density.atoms)
    return density_on(field, density.grid)


def _other(difference: str, density: Density) -> Density:
    from dataclasses import replace

    if difference != ATOMS:
        return read_density(difference, {})
    return replace(superposed_atoms(density), level=density.level)


def _name(difference: str) -> str:
    return _WORDS.get(difference, Path(difference).name)


def _slice(density: Density, words: str, shift: float, title: str, width: float) -> Figure:
    from deepdft.plotting.planes import lattice_plane, miller_indices, plane_of_atoms
    from deepdft.plotting.section_pictures import slice_picture

    if words == "atoms":
        plane = plane_of_atoms(density, shift)
    else:
        plane = lattice_plane(density, miller_indices(words), shift)
    return slice_picture(density, plane, title, width)


def _line(curves: list[tuple[str, Density]], ends: tuple[str, str], width: float) -> Figure:
    from deepdft.plotting.section_pictures import line_picture

    start, end = (_point(curves[0][1], text) for text in ends)
    return line_picture(curves, start, end, width)


def _surface(
    density: Density,
    iso: float | None,
    title: str,
    view: tuple[float, float, float] | None,
    width: float,
    dpi: int,
    difference: str | None,
) -> Figure:
    from deepdft.plotting.surface_pictures import Panel, surface_picture

    panel = Panel(density, iso, title)
    if difference is not None:
        name = _name(difference)
        panel = Panel(density, iso, title, f"more than {name}", f"less than {name}")
    return surface_picture([panel], view=view, width=width, resolution=dpi)


def _point(density: Density, text: str) -> FloatArray:
    import numpy as np

    from deepdft.plotting.scenes import Scene

    positions = Scene.of(density).places
    parts = text.split(",")
    try:
        if len(parts) == 3:
            return np.array([float(part) for part in parts])
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < len(positions):
        raise ConfigurationError(
            f"An end of a line is an atom, 0 to {len(positions) - 1}, or a point x,y,z in Å, "
            f"not '{text}'."
        )
    point: FloatArray = positions[number]
    return point


def _picture_path(rho: str, output: Path | None, *, flat: bool) -> Path:
    """Return where the picture goes, by default in the working directory.

    Raises:
        ConfigurationError: if no such picture can be drawn; a page shows no planes and lines.
    """
    if output is None:
        name = Path(rho.rpartition("::")[2] or rho).name
        output = Path(f"{Path(name.removesuffix('.gz')).stem or 'density'}.png")
    suffix = output.suffix.lower()
    if suffix not in (".png", ".svg", ".html"):
        raise ConfigurationError(f"A picture is .png, .svg or .html, not '{output.name}'.")
    if suffix == ".html" and flat:
        raise ConfigurationError("A plane or a line is drawn as .png or .svg, not as .html.")
    return output
