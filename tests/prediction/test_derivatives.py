"""Derivatives by the engine: compiled code, blocks, grids, threads, and the atomic baseline."""

from __future__ import annotations

import operator
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.block_superposition import BlockSuperposition
from deepdft.fields.atoms.tabulation import switch_off
from deepdft.fields.field import Derivatives
from deepdft.fields.walk import slabs, walk
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.testing.brute_force import points_off_cutoff
from deepdft.testing.networks import finite_differences, small_network
from deepdft.testing.structures import ELEMENTS, ethanol, points_near, sodium_chloride, triclinic

SKEWED = np.array([[7.0, 0.3, -0.2], [-1.1, 6.5, 0.4], [0.6, -0.9, 8.2]])


class OfOrder:
    """Derivatives of one order."""

    def __init__(self, engine, order=2):
        self.engine, self.order = engine, order

    def at(self, points):
        return self.engine.at(points, self.order)

    def box(self, grid, start, stop):
        return self.engine.box(grid, start, stop, self.order)


def engine_for(atoms, dtype=torch.float64, baseline=None, order=2, threads=1, **options):
    network = small_network("deepdft", dtype, **options)
    return OfOrder(ProbeEngine(network, baseline, atoms, threads), order)


def assert_close(found, expected, relative, absolute=0.0):
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            scale = np.abs(other).max()
            # The density is a difference of numbers of the size of 1.
            np.testing.assert_allclose(one, other, rtol=0, atol=relative * scale + absolute)


def of_each(derivatives, function):
    return [None if x is None else function(x) for x in derivatives]


@pytest.mark.parametrize("envelope", ["published", "smooth"])
@pytest.mark.parametrize(("steps", "channels"), [(2, 20), (6, 128)])
def test_compiled_derivatives_are_those_in_double_precision(steps, channels, envelope):
    options = {"steps": steps, "channels": channels, "envelope": envelope}
    compiled_and_double("deepdft", options, seed=steps)


@pytest.mark.parametrize("fields", [(64, 64, 32, 32), (32,), (32, 32, 64, 16, 16)])
def test_compiled_derivatives_of_fields(fields):
    compiled_and_double(
        "equivariant", {"fields": fields, "hidden": 40, "tensors": 8, "degree": 4}, seed=0
    )


def compiled_and_double(architecture, options, seed):
    torch.manual_seed(seed)
    network = create_model(architecture, options, ELEMENTS).eval().requires_grad_(False)
    double = create_model(architecture, options, ELEMENTS).eval().requires_grad_(False)
    double.load_state_dict(network.state_dict())
    double.double()
    for atoms in (ethanol(), triclinic()):
        points = points_near(atoms, 200, seed=seed, spread=3.0)
        points[:2] = atoms.positions[:2]
        points[2] = atoms.positions[2] + [1e-5, -2e-5, 0.0]
        points = points_off_cutoff(atoms, points, network.cutoff)
        points[3] = atoms.positions.max(axis=0) + 50.0
        engine = ProbeEngine(network, None, atoms, threads=1)
        exact = ProbeEngine(double, None, atoms, threads=1)
        assert engine.is_compiled
        assert not exact.is_compiled
        for order in (1, 2):
            found = OfOrder(engine, order).at(points)
            assert_close(found, OfOrder(exact, order).at(points), 2e-5, 3e-7)
        np.testing.assert_allclose(found.value, engine.at(points), rtol=0, atol=3e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("make", [ethanol, triclinic])
@pytest.mark.parametrize("order", [1, 2])
def test_lists_grids_and_slabs_agree(make, dtype, tolerance, order):
    atoms = make()
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    engine = engine_for(atoms, dtype, tables, order, cutoff=3.0)
    grid = Grid(SKEWED, (9, 7, 10), atoms.positions[0] - 3.0)
    whole = engine.box(grid, (0, 0, 0), grid.shape)
    assert whole.value.shape == grid.shape
    assert whole.gradient.shape == (*grid.shape, 3)
    assert (whole.hessian is None) == (order == 1)
    assert whole.hessian is None or whole.hessian.shape == (*grid.shape, 3, 3)
    flat = engine.at(grid.points().reshape(-1, 3))
    assert_close(flat, of_each(whole, lambda x: x.reshape(-1, *x.shape[3:])), tolerance)
    part = engine.box(grid, (3, 2, 5), (5, 3, 10))
    assert_close(part, of_each(whole, lambda x: x[3:5, 2:3, 5:10]), tolerance)
    for axis in range(3):
        for start, stop in slabs(grid, axis, 100):
            slab = engine.box(grid, start, stop)
            place = tuple(slice(*span) for span in zip(start, stop, strict=True))
            assert_close(slab, of_each(whole, operator.itemgetter(place)), tolerance)


def test_a_gradient_is_walked_through_in_slabs():
    engine = ProbeEngine(small_network("deepdft", torch.float32), None, ethanol(), 1)
    grid = Grid(np.diag([30.0, 6.0, 6.0]), (100, 8, 8), -3 * np.ones(3))
    boxes = list(slabs(grid, points=1000))
    assert len(boxes) > 3
    parts = list(walk(engine, grid, boxes, order=1))
    whole = engine.box(grid, (0, 0, 0), grid.shape, order=1).gradient
    together = np.concatenate([part.gradient for _, _, part in parts])
    np.testing.assert_allclose(together, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_threads_change_nothing(dtype):
    atoms = sodium_chloride()
    points = points_near(atoms, 1500)
    one, several = (engine_for(atoms, dtype, threads=n).at(points) for n in (1, 3))
    for a, b in zip(one, several, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_periodic_images_of_a_point(dtype):
    atoms = triclinic()
    points = points_off_cutoff(atoms, points_near(atoms, 30), 4.0)
    shifts = np.random.default_rng(0).integers(-9, 9, (len(points), 3)) @ np.asarray(atoms.cell)
    engine = engine_for(atoms, dtype)
    assert_close(engine.at(points + shifts), engine.at(points), 1e-4)


def test_memory_depends_on_the_block():
    # What a slab holds beyond the result; the same for eight times the points.
    engine = engine_for(ethanol(), torch.float64, order=2)
    used = []
    for n in (16, 32):
        grid = Grid(np.eye(3) * 5, (n, n, n), -2.5 * np.ones(3))
        engine.box(grid, (0, 0, 0), (2, 2, 2))
        tracemalloc.start()
        result = engine.box(grid, (0, 0, 0), grid.shape)
        used.append(tracemalloc.get_traced_memory()[1] - sum(x.nbytes for x in result))
        tracemalloc.stop()
    assert used[1] < 1.5 * used[0] + 200_000


def spherical_atoms(elements):
    """Tables of closed-shell atoms with made-up orbitals, and PySCF's derivatives of theirs."""
    gto = pytest.importorskip("pyscf").gto
    rng = np.random.default_rng(0)
    shells = {}
    for element in elements:
        atom = gto.M(atom=element, basis="gth-dzvp", pseudo="gth-pbe", spin=None, verbose=0)
        labels = atom.ao_labels(fmt=None)
        s = np.array([label[2].endswith("s") for label in labels], float)
        orbitals = [s * rng.uniform(0.2, 1.0, len(s))]
        weights = rng.uniform(0.3, 0.6, len(s))
        for axis in ("x", "y", "z"):
            # The same radial function along each axis, so that the density is spherical.
            chosen = np.array([label[2][1:] == "p" and label[3] == axis for label in labels])
            orbitals.append(np.zeros(len(s)))
            orbitals[-1][chosen] = weights[: chosen.sum()]
        shells[element] = (atom, np.array(orbitals).T)
    return shells


def exact_derivatives(atom, orbitals, points):
    """Density 2 sum |phi|^2 of an atom at the origin, gradient and Hessian; points in Å."""
    bohr = 0.529177210544
    values = atom.eval_gto("GTOval_sph_deriv2", points / bohr) @ orbitals
    first = values[1:4]
    second = values[4:][[0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(3, 3, *values.shape[1:])
    density = 2 * (values[0] ** 2).sum(axis=-1)
    gradient = 4 * (values[0] * first).sum(axis=-1)
    hessian = 4 * (values[0] * second + first[:, None] * first[None]).sum(axis=-1)
    return (
        density / bohr**3, gradient.T / bohr**4, hessian.transpose(2, 0, 1) / bohr**5
    )  # fmt: skip


def test_the_baseline_against_exact_orbitals():
    cutoff, spacing = 5.0, 0.0125
    shells = spherical_atoms(("H", "C", "O"))
    radii = np.arange(401) * spacing
    knots = []
    for atom, orbitals in shells.values():
        line = np.outer(radii, [0.0, 0.0, 1.0])
        density, gradient, hessian = exact_derivatives(atom, orbitals, line)
        radial = np.stack((density, gradient[:, 2], hessian[:, 2, 2]), axis=1)
        knots.append(switch_off(radii, radial, cutoff, 1.0))
        knots[-1][-1] = 0.0
    tables = AtomicDensityTables(tuple(shells), np.array(knots), spacing)
    atoms = Atoms("COHH", [[0, 0, 0], [1.2, 0.1, 0], [-0.6, 0.9, 0.2], [-0.5, -0.9, -0.3]])
    rng = np.random.default_rng(1)
    points = atoms.positions[rng.integers(4, size=300)] + rng.uniform(-1.3, 1.3, (300, 3))
    points[:4] = atoms.positions
    # Where no atom's table is switched off.
    gaps = np.linalg.norm(points[:, None] - atoms.positions, axis=2)
    assert gaps.max() < cutoff - 1.0
    parts = [
        exact_derivatives(*shells[symbol], points - position)
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    expected = [sum(x) for x in zip(*parts, strict=True)]
    found = np.zeros(300), np.zeros((300, 3)), np.zeros((300, 3, 3))
    superposition = BlockSuperposition(tables, atoms)
    superposition.add_derivatives_to(*found, points, np.arange(4), atoms.positions)
    for one, other, tolerance in zip(found, expected, (1e-7, 1e-5, 2e-3), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-4 * np.abs(other).max())


def test_the_baseline_is_added_and_reaches_further():
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    for make in (ethanol, triclinic):
        atoms = make()
        network = small_network("deepdft", cutoff=3.0)
        plain = OfOrder(ProbeEngine(network, None, atoms, 1))
        corrected = OfOrder(ProbeEngine(network, tables, atoms, 1))
        points = points_near(atoms, 40, spread=2.5)
        points[:3] = atoms.positions[:3]
        expected = plain.at(points)
        added = SuperposedAtoms(tables, atoms).at(points, order=2)
        found = corrected.at(points)
        for one, a, b in zip(found, expected, added, strict=True):
            np.testing.assert_allclose(one, a + b, rtol=0, atol=1e-6 * np.abs(one).max())


def model(dtype=torch.float64, baseline="pbe-gth-dzvp"):
    network = small_network("deepdft", dtype)
    level = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp")
    found = TrainedModel(Checkpoint.of_network(network, level, baseline, {}), "mine")
    found.threads = 1
    return found


def test_a_trained_model_has_derivatives():
    atoms, chosen = ethanol(), model()
    points = points_near(atoms, 6)
    together = chosen.engine(atoms).at(points, order=2)
    assert isinstance(together, Derivatives)
    assert np.array_equal(chosen.hessian_at(atoms, points), together.hessian)
    gradient = chosen.gradient_at(atoms, points)
    np.testing.assert_allclose(gradient, together.gradient, rtol=0, atol=1e-12)
    numerical = finite_differences(lambda at: chosen.density_at(atoms, at), points)
    np.testing.assert_allclose(gradient, numerical, rtol=0, atol=1e-6)
    assert chosen.gradient_at(atoms, np.zeros((0, 3))).shape == (0, 3)
    assert chosen.hessian_at(atoms, np.zeros((0, 3))).shape == (0, 3, 3)


def test_the_bundled_model_in_single_and_double_precision():
    atoms = ethanol()
    points = points_near(atoms, 100)
    points[: len(atoms)] = atoms.positions
    single = load_model("default", "cpu").engine(atoms).at(points, order=2)
    double = load_model("default").to("cpu", "float64").engine(atoms).at(points, order=2)
    assert_close(single, double, 1e-5)


def test_what_cannot_be_asked_for():
    atoms, chosen = ethanol(), model()
    for order in (-1, 3):
        with pytest.raises(ConfigurationError, match="up to order 2, not of order"):
            chosen.engine(atoms).at(atoms.positions, order)
    with pytest.raises(ConfigurationError, match=r"\(n, 3\)"):
        chosen.gradient_at(atoms, [0.0, 0.0, 0.0])
    with pytest.raises(ConfigurationError, match="not finite"):
        chosen.hessian_at(atoms, [[0.0, np.nan, 0.0]])
    with pytest.raises(UnsupportedStructureError, match="Xe"):
        chosen.gradient_at(Atoms("Xe"), np.zeros((1, 3)))


def test_the_documentation_runs():
    page = Path(__file__).parents[2] / "docs" / "derivatives.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {"__name__": "documented"}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
