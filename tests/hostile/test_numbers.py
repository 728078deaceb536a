"""Numbers that nobody can mean: a sentence before work starts."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from deepdft.cli import main
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.walk import LARGEST_LAYER, slabs, values_on
from deepdft.formats import read
from deepdft.geometry.grids import MOST_POINTS, choose_grid
from deepdft.structures import understood_atoms

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("spacing", [0.0, -0.0, -1.0, NAN, INFINITY, 1e-9, 1e-300, 1e-4])
def test_spacings(spacing: float) -> None:
    crystal = Atoms("Na", cell=[4.2] * 3, pbc=True)
    for atoms in (molecule("H2O"), crystal, Atoms("C", cell=[2.5, 2.5, 0], pbc=(1, 1, 0))):
        with pytest.raises(ConfigurationError, match=r"spacing|too large"):
            choose_grid(atoms, spacing=spacing)


@pytest.mark.parametrize("vacuum", [-1.0, NAN, INFINITY, 1e9, 1e300, 1e5])
def test_vacuum(vacuum: float) -> None:
    for atoms in (molecule("H2O"), Atoms("C", cell=[200, 200, 0], pbc=(1, 1, 0))):
        with pytest.raises(ConfigurationError, match=r"vacuum|too large"):
            choose_grid(atoms, vacuum=vacuum)


@pytest.mark.parametrize(
    "shape", [(10**4,) * 3, (10**30, 1, 1), (2**63, 2, 2), (0, 1, 1), (-1, 2, 2)]
)
def test_shapes(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"too large|positive point counts"):
        choose_grid(molecule("H2O"), shape=shape)


def test_the_largest_grid_is_one() -> None:
    side = int(MOST_POINTS ** (1 / 3))
    assert choose_grid(molecule("H2O"), shape=(side,) * 3).n_points > 0.99 * MOST_POINTS


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[0.01] * 3, pbc=True), "no room"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[1e-300] * 3, pbc=True), None),
        (Atoms("Na", cell=[1.2] * 3, pbc=True), r"closer than half a bond: 0 \(Na\) and 0 \(Na\)"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0]]), "at the same place"),
        (Atoms("H2", [[0, 0, 0], [0, 0, NAN]]), "not finite"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 1e6]]), "from the others"),
        (Atoms("H2", [[0, 0, 1e300], [0, 0, 0]]), "from the"),
        (Atoms("H", cell=[[NAN, 0, 0], [0, 3, 0], [0, 0, 3]], pbc=True), "not finite"),
        (Atoms("H", cell=[[1, 0, 0], [1, 0, 0], [0, 0, 3]], pbc=True), "span no cell"),
        (Atoms(numbers=[119], positions=[[0, 0, 0]]), "atomic number 119"),
        (Atoms("H", info={"charge": NAN}), "no charge"),
    ],
)  # fmt: skip
def test_structures(atoms: Atoms, sentence: str | None) -> None:
    """Cells of 0.01 Å, atoms on their own image, on one another, or nowhere."""
    if sentence is None:
        # No cell at all: taken as a molecule, with a note.
        assert not understood_atoms(atoms).atoms.pbc.any()
        return
    with pytest.raises(UnsupportedStructureError, match=sentence):
        understood_atoms(atoms)


def test_a_cell_of_a_million_is_no_cell() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[1e6] * 3, pbc=True)
    found = understood_atoms(atoms)
    assert not found.atoms.pbc.any()
    assert "holds a place" in found.notes[0]


@pytest.mark.parametrize(
    "options", [["--spacing=0"], ["--spacing=nan"], ["--spacing=1e-9"], ["--vacuum=1e9"]]
)
def test_the_command_leaves_with_2_before_work_starts(
    options, tmp_path, monkeypatch, capsys
) -> None:
    write(tmp_path / "w.xyz", molecule("H2O"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["deepdft", "predict", "w.xyz", "-o", "w.cube", *options])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("deepdft: ")
    assert [path.name for path in tmp_path.iterdir()] == ["w.xyz"]


def test_memory_of_slabs_is_bounded() -> None:
    for shape in ((10**4, 10**4, 5000), (3000, 3000, 3000), (10**6, 100, 100), (2, 10**4, 10**4)):
        grid = Grid(np.eye(3), shape)
        start, stop = next(slabs(grid))
        assert np.prod(np.subtract(stop, start)) <= LARGEST_LAYER
    with pytest.raises(ConfigurationError, match=r"zarr store"):
        next(slabs(Grid(np.eye(3), (1, 10**5, 10**4))))


def test_grids_beyond_memory_are_refused_before_they_are_allocated() -> None:
    class Nothing:
        def box(self, *_: object) -> None:
            raise AssertionError

    with pytest.raises(ConfigurationError, match="GiB of memory"):
        values_on(Nothing(), Grid(np.eye(3), (5000, 5000, 5000)))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-nan"])
def test_values_of_files_that_are_not_finite(value: str, tmp_path) -> None:
    text = f"a\nb\n 1 0 0 0\n 1 1 0 0\n 1 0 1 0\n 2 0 0 1\n 1 1 0 0 0\n 0.5 {value}\n"
    (tmp_path / "a.cube").write_text(text)
    with pytest.raises(Exception, match="finite") as caught:
        read(tmp_path / "a.cube")
    assert type(caught.value).__module__ == "deepdft.errors"


def test_smiles_too_large_for_a_geometry() -> None:
    pytest.importorskip("rdkit")
    from deepdft.structures import read_structures

    for text, sentence in (
        ("C" * 400, "up to 200"),
        ("C" * 20_000, "neither"),
        ("(" * 3000, "valid"),
    ):
        with pytest.raises(Exception, match=sentence) as caught:
            list(read_structures(text))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["quantum", "", "cpu gpu", "tpu" * 100])
def test_accelerators_that_there_are_not(name: str, tmp_path) -> None:
    pytest.importorskip("pytorch_lightning")
    from deepdft.training.config import parse_config
    from deepdft.training.trainer import make_trainer

    with pytest.raises(ConfigurationError, match="There is no accelerator"):
        make_trainer(parse_config({"trainer": {"accelerator": name}}), tmp_path, [])
