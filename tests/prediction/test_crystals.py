"""The bundled model of crystals: what describes one crystal in many ways has one density."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, make_supercell, surface
from scipy.spatial.transform import Rotation

from deepdft.density import Grid
from deepdft.fields.walk import density_on
from deepdft.formats import read
from deepdft.prediction import TrainedModel, load_model, predict, predict_to_store
from deepdft.structures import read_structures

EXAMPLES = Path(__file__).parents[2] / "examples" / "crystals"
SAME = 1e-5
"""e/Å^3."""


@pytest.fixture(scope="module")
def crystals() -> TrainedModel:
    model = load_model("crystals", "cpu")
    model.threads = 1
    return model


def zincite() -> Atoms:
    return bulk("ZnO", "wurtzite", a=3.25, c=5.2)


def quartz() -> Atoms:
    return next(iter(read_structures(EXAMPLES / "quartz.cif"))).atoms


def triclinic() -> Atoms:
    """No symmetry, angles far from right, and a vector shorter than the cutoff."""
    cell = [[2.9, 0.2, -0.1], [1.6, 4.4, 0.3], [-0.9, 1.7, 5.2]]
    return Atoms("NaClO", scaled_positions=[(0, 0, 0), (0.5, 0.45, 0.5), (0.1, 0.7, 0.2)],
                 cell=cell, pbc=True)  # fmt: skip


def iron() -> Atoms:
    """One atom, in a cell far thinner than the cutoff."""
    return bulk("Fe")


PRIMITIVE: list[Callable[[], Atoms]] = [
    lambda: bulk("Si"), lambda: bulk("NaCl", "rocksalt", a=5.64), iron, zincite, triclinic,
]  # fmt: skip
CRYSTALS = pytest.mark.parametrize(
    "build", PRIMITIVE, ids=["silicon", "rocksalt", "iron", "wurtzite", "triclinic"]
)


def places(atoms: Atoms, count: int = 150) -> np.ndarray:
    """Points all over the cell, and near nuclei, where the density is largest."""
    generator = np.random.default_rng(len(atoms))
    everywhere = generator.random((count, 3)) @ atoms.cell.array
    near = atoms.positions[generator.integers(len(atoms), size=count)]
    return np.concatenate([everywhere, near + generator.normal(scale=0.3, size=near.shape)])


def require_same(
    model: TrainedModel, first: Atoms, second: Atoms, turn: np.ndarray | None = None
) -> None:
    points = places(first)
    turned = points if turn is None else points @ turn
    expected = model.density_at(first, points)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(model.density_at(second, turned), expected, rtol=0, atol=SAME)


@CRYSTALS
def test_a_supercell_is_the_crystal(crystals: TrainedModel, build: Callable[[], Atoms]) -> None:
    require_same(crystals, build(), build() * (2, 1, 3))


@CRYSTALS
def test_a_skewed_cell_is_the_crystal(crystals: TrainedModel, build: Callable[[], Atoms]) -> None:
    skewed = build()
    skewed.set_cell(np.array([[1, 3, 0], [0, 1, -2], [0, 0, 1]]) @ skewed.cell.array)
    require_same(crystals, build(), skewed)


@CRYSTALS
def test_a_turned_crystal_has_a_turned_density(
    crystals: TrainedModel, build: Callable[[], Atoms]
) -> None:
    turn = Rotation.random(random_state=5).as_matrix()
    turned = build()
    turned.set_cell(turned.cell.array @ turn, scale_atoms=True)
    require_same(crystals, build(), turned, turn)


@CRYSTALS
def test_atoms_may_be_in_any_image(crystals: TrainedModel, build: Callable[[], Atoms]) -> None:
    moved = build()
    generator = np.random.default_rng(4)
    moved.positions += generator.integers(-3, 4, size=(len(moved), 3)) @ moved.cell.array
    require_same(crystals, build(), moved[::-1])


@pytest.mark.parametrize(
    ("primitive", "matrix"),
    [
        (bulk("Cu"), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
        (bulk("Si"), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
        (bulk("Fe"), [[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
        (bulk("Mg"), [[1, 0, 0], [1, 2, 0], [0, 0, 1]]),
    ],
    ids=["fcc", "diamond", "bcc", "orthorhombic cell of hcp"],
)
def test_a_conventional_cell_is_the_crystal(
    crystals: TrainedModel, primitive: Atoms, matrix: list[list[int]]
) -> None:
    conventional = make_supercell(primitive, matrix)
    assert len(conventional) > len(primitive)
    require_same(crystals, primitive, conventional)


def test_a_thin_cell_is_one_in_which_no_atom_meets_its_images(crystals: TrainedModel) -> None:
    atoms = iron()
    block = atoms * 6
    reach = max(crystals.cutoff, getattr(crystals.checkpoint.options, "atom_cutoff", 0.0))
    heights = 1 / np.linalg.norm(np.linalg.inv(block.cell.array), axis=0)
    assert heights.min() > 2 * reach > 3 * heights.min() / 6
    require_same(crystals, atoms, block)


@pytest.mark.parametrize(
    "build", [PRIMITIVE[0], PRIMITIVE[1], zincite, quartz], ids=["Si", "NaCl", "ZnO", "quartz"]
)
def test_the_density_has_the_symmetry_of_its_crystal(
    crystals: TrainedModel, build: Callable[[], Atoms]
) -> None:
    spglib = pytest.importorskip("spglib")
    atoms = build()
    cell = atoms.cell.array
    found = spglib.get_symmetry((cell, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3)
    operations = list(zip(found["rotations"], found["translations"], strict=True))
    assert len(operations) in (6, 12, 48)
    points = places(atoms, 15)
    expected = crystals.density_at(atoms, points)
    inside = points @ np.linalg.inv(cell)
    images = np.concatenate([(inside @ r.T + t) @ cell for r, t in operations])
    values = crystals.density_at(atoms, images).reshape(len(operations), -1)
    # Positions of files have few digits; quartz keeps its symmetry to those.
    tolerance = SAME if build is not quartz else 1e-3
    np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), atol=tolerance)


@CRYSTALS
def test_densities_hold_their_electrons_and_are_nowhere_negative(
    crystals: TrainedModel, build: Callable[[], Atoms]
) -> None:
    atoms = build()
    density = predict(atoms, crystals, spacing=0.15)
    expected = crystals.expected_electrons(atoms)
    assert expected is not None
    assert density.values.min() >= 0.0
    assert density.n_electrons == pytest.approx(expected, rel=0.01)


def test_gradients_are_those_of_the_values(crystals: TrainedModel) -> None:
    atoms = zincite()
    engine = crystals.engine(atoms)
    points = places(atoms, 10)[10:]  # near nuclei
    gradients = engine.at(points, 1).gradient
    step = 1e-2
    for axis, shift in enumerate(np.eye(3) * step):
        slopes = (
            8 * (engine.at(points + shift) - engine.at(points - shift))
            - (engine.at(points + 2 * shift) - engine.at(points - 2 * shift))
        ) / (12 * step)
        np.testing.assert_allclose(gradients[:, axis], slopes, atol=2e-2, rtol=2e-2)


def test_a_streamed_density_is_the_one_in_memory(crystals: TrainedModel, tmp_path: Path) -> None:
    atoms = triclinic()
    grid = Grid(atoms.cell.array, (12, 20, 24))
    predict_to_store(atoms, tmp_path / "density.zarr", crystals, grid)
    expected = density_on(crystals.engine(atoms), grid).values
    np.testing.assert_allclose(read(tmp_path / "density.zarr").values, expected, atol=SAME)


def expected_error(model: TrainedModel, atoms: Atoms) -> float:
    return float(model.uncertainty(atoms, model.engine(atoms)).eps_mae)


@pytest.mark.parametrize(
    ("whole", "slab"),
    [
        pytest.param(
            bulk("Cu"), fcc111("Cu", (1, 1, 4), a=3.61, vacuum=6.0, periodic=True), id="copper"
        ),
        pytest.param(
            bulk("MgO", "rocksalt", a=4.21),
            surface(bulk("MgO", "rocksalt", a=4.21, cubic=True), (1, 0, 0), 2, 6.0, periodic=True),
            id="magnesia",
            # A weakness of the model: 0.74 % are expected of the slab (0.91 are true), and 0.68 of
            # the crystal (docs/evaluation/crystals.md).
            marks=pytest.mark.xfail(strict=True, reason="1.09 times as much is expected"),
        ),
    ],
)
def test_more_is_expected_to_be_wrong_of_slabs(
    crystals: TrainedModel, whole: Atoms, slab: Atoms
) -> None:
    assert expected_error(crystals, slab) > 1.2 * expected_error(crystals, whole)


@pytest.mark.parametrize("perfect", [bulk("Si") * 2, bulk("Al") * 2], ids=["silicon", "metal"])
def test_more_is_expected_to_be_wrong_around_vacancies(
    crystals: TrainedModel, perfect: Atoms
) -> None:
    vacancy = perfect.copy()
    del vacancy[0]
    whole, broken = (crystals.uncertainty(atoms) for atoms in (perfect, vacancy))
    assert broken.eps_mae > whole.eps_mae
