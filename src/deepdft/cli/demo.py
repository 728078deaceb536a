"""`deepdft demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepdft.cli.common import give

if TYPE_CHECKING:
    from deepdft.density import Density

_NAME = "C6H9NO"


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("demo"),
) -> None:
    """Predict a molecule that no model has seen, and compare with its DFT density.

    The molecule belongs to the test part of the data. Written are the predicted density as a cube
    file (for VMD, VESTA, Avogadro, ASE) and, with the extra `plot`, a picture and an interactive
    view.
    """
    import ase.io
    from ase import Atoms
    from rich.console import Console

    import deepdft
    from deepdft.errors import MissingDependencyError

    console = Console(highlight=False, soft_wrap=True, markup=False)
    folder.mkdir(parents=True, exist_ok=True)
    molecules = Path(__file__).resolve().parent.parent / "bundled" / "molecules"

    # The whole of the main job: a structure in, a density out.
    atoms = ase.io.read(molecules / f"{_NAME}.xyz", index=0)
    assert isinstance(atoms, Atoms)
    predicted = deepdft.predict(atoms)
    predicted.write(folder / f"{_NAME}.cube")

    reference = _reference(molecules / f"{_NAME}.npz", predicted)
    comparison = reference.compare(predicted)
    for heading, text in (
        ("molecule", f"{_NAME}, {len(atoms)} atoms"),
        ("grid", f"{' x '.join(map(str, predicted.grid.shape))} points"),
        (
            "electrons",
            f"{predicted.n_electrons:.3f} predicted, {reference.n_electrons:.3f} DFT",
        ),
        ("eps_mae", f"{100 * comparison.eps_mae:.3f} % against {reference.level}"),
        ("written", f"{folder}/{_NAME}.cube"),
    ):
        console.print(f"{heading:14}{text}")
    give({"file": folder / f"{_NAME}.cube", "electrons": predicted.n_electrons,
          "eps_mae": comparison.eps_mae})  # fmt: skip
    try:
        _draw(predicted, reference, folder)
    except MissingDependencyError as sentence:
        console.print(f"{'no picture':14}{sentence}")
        return
    console.print(f"{'':14}{folder}/{_NAME}.png, {folder}/{_NAME}.html")


def _reference(path: Path, like: Density) -> Density:
    """Return the DFT density of the molecule on the grid of the prediction."""
    from deepdft.data.orbital_dataset import OrbitalDataset

    return OrbitalDataset(path).density(0).on_grid(like.grid)


def _draw(predicted: Density, reference: Density, folder: Path) -> None:
    from deepdft.plotting.differences import difference_of
    from deepdft.plotting.figures import png
    from deepdft.plotting.surface_pictures import Panel, surface_picture
    from deepdft.storage.whole_files import replace_file

    difference = difference_of(predicted, reference)
    panels = [
        Panel(predicted, 0.05, "electron density, predicted"),
        Panel(
            difference,
            None,
            "what is wrong with it: predicted − DFT",
            "too many electrons",
            "too few electrons",
        ),
    ]
    figure = surface_picture(panels, resolution=200)
    replace_file(folder / f"{_NAME}.png", png(figure, 200))
    predicted.view(iso=0.05).write(folder / f"{_NAME}.html")
