"""Predictions into zarr stores: complete after any interruption, the same whoever computes them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import ase.io.cube
import ase.units
import dask.array
import numpy as np
import pytest
import torch
import xarray
import zarr
from ase import Atoms

from deepdft.architectures.settings import EvaluationSettings
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.formats import read, write
from deepdft.formats.zarr_streaming import stream_to_file
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.block_plan import BlockPlan, block_shape_for
from deepdft.prediction.distributed import Cluster
from deepdft.prediction.encoded_store import encode_for, stored_density
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.stored_prediction import open_store, predict_to_store
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.chunked_density import ChunkedDensity
from deepdft.testing.networks import small_network
from deepdft.testing.structures import sodium_chloride, triclinic

BLOCK_POINTS = 400
LEVEL = LevelOfTheory("PBE", "GTH-PBE")
SALT = (11, 17)


@pytest.fixture(scope="module")
def model():
    network = small_network("deepdft", torch.float32)
    found = TrainedModel(
        Checkpoint.of_network(network, LEVEL, card={"electrons": {"Na": 9, "Cl": 7}}), "mine"
    )
    found.threads = 1
    return found


@pytest.fixture(scope="module")
def atoms():
    structure = sodium_chloride()
    structure.rattle(0.1, seed=1)
    return structure


@pytest.fixture(scope="module")
def grid(atoms):
    return Grid(np.asarray(atoms.cell), (26, 31, 23), np.array([0.3, -0.2, 0.1]))


@pytest.fixture(scope="module")
def expected(model, atoms, grid):
    """The density by the engine, all at once."""
    values = ProbeEngine(model.network, None, atoms, 1).box(grid, (0, 0, 0), grid.shape)
    assert np.ptp(values) > 1e-2
    return values


@pytest.fixture(scope="module")
def finished(model, atoms, grid, tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "rho.zarr"
    predict_to_store(atoms, path, model, grid, block_points=BLOCK_POINTS)
    return path


def predict(path, model, atoms, grid, **options):
    return predict_to_store(atoms, path, model, grid, block_points=BLOCK_POINTS, **options)


def bits(path):
    return read(path).values.tobytes()


def chunk_files(path):
    """Chunks with what a second write would change."""
    files = sorted(file for file in (path / "density" / "c").rglob("*") if file.is_file())
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_a_store_holds_the_density_of_the_engine(model, atoms, grid, expected, tmp_path):
    steps = []
    path = tmp_path / "rho.zarr"
    summary = predict(path, model, atoms, grid, progress=steps.append)
    density = read(path)
    assert density.values.dtype == np.float32
    np.testing.assert_allclose(density.values, expected, rtol=0, atol=3e-6 * expected.max())
    assert sum(steps) == grid.n_points
    assert summary.blocks == summary.blocks_computed == len(steps) == len(chunk_files(path)) > 10
    electrons = density.values.sum(dtype=np.float64) * grid.voxel_volume
    assert summary.electrons == pytest.approx(electrons, abs=1e-9)
    assert summary.expected_electrons == 64
    assert density.atoms == atoms
    assert density.level == LEVEL
    assert density.grid.shape == grid.shape
    assert np.array_equal(density.grid.cell, grid.cell)
    assert np.array_equal(density.grid.origin, grid.origin)
    assert not (path / "density" / "unfinished").exists()


def test_a_store_is_a_lazy_array_for_others(finished, grid):
    values = read(finished).values
    from_dask = dask.array.from_zarr(str(finished), component="density")
    assert np.array_equal(from_dask.compute(), values)
    dataset = xarray.open_zarr(finished)
    assert dataset.density.dims == ("a", "b", "c")
    assert dataset.density.attrs["units"] == "e/Å^3"
    assert dataset.attrs["cell"] == grid.cell.tolist()
    assert dataset.density.chunks is not None
    assert np.array_equal(dataset.density, values)
    lazy = read(finished, lazy=True)
    assert isinstance(lazy.values, dask.array.Array)
    assert np.array_equal(np.asarray(lazy.values[3:7, ::2]), values[3:7, ::2])
    assert lazy.n_electrons == pytest.approx(read(finished).n_electrons, abs=1e-9)


@pytest.mark.parametrize("name", ["rho.cube", "rho.xsf"])
def test_a_store_is_converted_by_streaming(finished, tmp_path, name):
    written = []
    stream_to_file(finished, tmp_path / name, largest_slab=1500, progress=written.append)
    assert max(written) <= 1500
    assert sum(written) == read(finished).grid.n_points
    write(tmp_path / f"whole_{name}", read(finished))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole_{name}").read_bytes()


def test_a_streamed_cube_is_what_ase_reads(finished, tmp_path):
    density = read(finished)
    stream_to_file(finished, tmp_path / "rho.cube")
    with (tmp_path / "rho.cube").open() as file:
        found = ase.io.cube.read_cube(file)
    values = found["data"] / ase.units.Bohr**3
    np.testing.assert_allclose(values, density.values, rtol=2e-5, atol=1e-9)
    np.testing.assert_allclose(found["atoms"].positions, density.atoms.positions, atol=1e-5)


def test_order_threads_and_resumes_change_no_bit(model, atoms, grid, finished, tmp_path):
    store = open_store(atoms, tmp_path / "rho.zarr", model, grid, BLOCK_POINTS)
    encode_for(store, model)
    backwards = list(reversed(range(store.n_chunks)))
    for threads, blocks in [(3, backwards[:4]), (1, backwards[4:9])]:
        model.threads = threads
        stored_density(store, model).walk(blocks)
    # Another block size is asked for; the plan of the store stays.
    summary = predict_to_store(atoms, store.path, model, grid, block_points=4000)
    assert summary.blocks_computed == store.n_chunks - 9
    assert bits(store.path) == bits(finished)
    whole = predict_to_store(atoms, tmp_path / "whole.zarr", model, grid, block_points=10**6)
    assert whole.blocks == 1
    assert read(tmp_path / "whole.zarr").values == pytest.approx(read(finished).values, abs=1e-5)


def killed_after(blocks, path, model, atoms, grid):
    """Fill a store in another process that is killed after some blocks."""

    def fill():
        done = []

        def progress(points):
            done.append(points)
            if len(done) == blocks:
                os.kill(os.getpid(), signal.SIGKILL)

        predict(path, model, atoms, grid, progress=progress)

    run_until_killed(fill)


def killed_in_a_write(path, model, atoms, grid):
    """Fill a store in another process that is killed with a chunk half written."""

    def fill():
        write_bytes = Path.write_bytes

        def half(self, data):
            write_bytes(self, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        Path.write_bytes = half
        predict(path, model, atoms, grid)

    run_until_killed(fill)


def run_until_killed(target):
    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_loses_nothing_and_repeats_nothing(model, atoms, grid, finished, tmp_path):
    path = tmp_path / "rho.zarr"
    killed_after(5, path, model, atoms, grid)
    before = chunk_files(path)
    assert len(before) == 5
    killed_in_a_write(path, model, atoms, grid)
    assert chunk_files(path) == before
    assert len(list((path / "density" / "unfinished").glob("*.part"))) == 1
    states = (path / "density" / "unfinished" / "atom_states.npy").stat().st_mtime_ns
    with pytest.raises(FileFormatError, match="not finished"):
        read(path)
    partly = zarr.open_array(str(path / "density"), mode="r")[...]
    assert 0 < np.isnan(partly).sum() < partly.size
    killed_after(8, path, model, atoms, grid)
    assert (path / "density" / "unfinished" / "atom_states.npy").stat().st_mtime_ns == states
    summary = predict(path, model, atoms, grid)
    assert summary.blocks_computed == summary.blocks - 8
    after = chunk_files(path)
    assert {file: after[file] for file in before} == before
    assert bits(path) == bits(finished)
    assert summary.electrons == predict(finished, model, atoms, grid).electrons


def test_damaged_chunks_are_computed_again(model, atoms, grid, finished, tmp_path):
    path = tmp_path / "rho.zarr"
    predict(path, model, atoms, grid)
    files = list(chunk_files(path))
    content = bytearray(files[1].read_bytes())
    content[len(content) // 2] ^= 1
    files[1].write_bytes(content)
    files[2].write_bytes(files[2].read_bytes()[:-20])
    files[3].write_bytes(b"")
    with pytest.raises(FileFormatError, match="damaged"):
        stream_to_file(path, tmp_path / "rho.cube")
    assert not (tmp_path / "rho.cube").exists()
    files[0].unlink()
    assert predict(path, model, atoms, grid).blocks_computed == 4
    assert bits(path) == bits(finished)


def test_a_finished_store_is_recognised(model, atoms, grid, tmp_path):
    path = tmp_path / "rho.zarr"
    first = predict(path, model, atoms, grid)
    before = chunk_files(path)
    steps = []
    again = predict(path, model, atoms, grid, progress=steps.append)
    assert steps == [grid.n_points]
    assert again.blocks_computed == 0
    assert again.electrons == first.electrons
    assert chunk_files(path) == before


def test_a_finished_store_is_tidied(model, atoms, grid, tmp_path, monkeypatch):
    path = tmp_path / "rho.zarr"
    with monkeypatch.context() as patched:
        # As where no folder can be opened: that of what is unfinished stays.
        patched.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        predict(path, model, atoms, grid)
    assert ChunkedDensity(path).work_folder.exists()
    predict(path, model, atoms, grid)
    assert not ChunkedDensity(path).work_folder.exists()


def test_other_predictions_are_refused(model, atoms, grid, finished, tmp_path):
    def refused(what, path=finished, model=model, atoms=atoms, grid=grid):
        before = chunk_files(path) if path.is_dir() else None
        with pytest.raises((ConfigurationError, FileFormatError), match=what) as caught:
            predict(path, model, atoms, grid)
        assert "\n" not in str(caught.value)
        assert before is None or chunk_files(path) == before

    other = TrainedModel(
        Checkpoint.of_network(small_network("deepdft", torch.float32, seed=1), LEVEL), "b"
    )
    refused("another model", model=other)
    with_baseline = TrainedModel(
        Checkpoint.of_network(model.network, LEVEL, "pbe-gth-dzvp", model.card), "with baseline"
    )
    assert (
        BlockPlan.make(with_baseline, atoms, (8, 8, 8)).model
        != BlockPlan.make(model, atoms, (8, 8, 8)).model
    )
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-5
    refused("another structure", atoms=moved)
    open_structure = atoms.copy()
    open_structure.pbc = (True, True, False)
    refused("another structure", atoms=open_structure)
    refused("another grid", grid=Grid(grid.cell, (26, 31, 24), grid.origin))
    refused("another grid", grid=replace(grid, origin=grid.origin + 1e-9))
    for words, settings in (
        ("filter tables", EvaluationSettings(table_spacing=0.04)),
        ("precision of products", EvaluationSettings(products="float16")),
        ("floating type", EvaluationSettings(precision="float64")),
    ):
        refused(words, model=TrainedModel(model.checkpoint, "other", settings=settings))
    (tmp_path / "folder").mkdir()
    refused("density store", path=tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    refused("density store", path=tmp_path / "file")
    write(tmp_path / "other.zarr", Density(atoms, grid, np.ones(grid.shape)))
    refused("another way", path=tmp_path / "other.zarr")
    refused("no folder", path=tmp_path / "absent" / "rho.zarr")


def test_blocks_of_different_devices_do_not_mix(model, atoms, grid, tmp_path):
    path = tmp_path / "rho.zarr"
    open_store(atoms, path, model, grid, BLOCK_POINTS, device="cuda")
    with pytest.raises(ConfigurationError, match=r"another kind of device \(CPU or GPU\)"):
        predict(path, model, atoms, grid)
    with pytest.raises(ConfigurationError, match="another kind of device"):
        predict(path, model, atoms, grid, cluster=Cluster(workers=1, device="cpu"))
    assert not chunk_files(path)
    assert Cluster(workers=1, device="cuda:1").device_type == "cuda"
    there = "cuda" if torch.cuda.is_available() else "cpu"
    assert Cluster(workers=1).device_type == there


def test_only_one_process_fills_a_store(model, atoms, grid, tmp_path):
    path = tmp_path / "rho.zarr"

    def second(points):
        with pytest.raises(ConfigurationError, match="another process"):
            predict(path, model, atoms, grid)

    assert predict(path, model, atoms, grid, progress=second).blocks_computed > 10
    assert read(path).grid.shape == grid.shape


def test_values_that_are_not_finite_are_refused(atoms, grid, tmp_path):
    network = small_network("deepdft", torch.float32)
    with torch.no_grad():
        network.readout_output.bias.fill_(float("nan"))
    broken = TrainedModel(Checkpoint.of_network(network, LEVEL), "broken")
    with pytest.raises(ConfigurationError, match="not finite"):
        predict(tmp_path / "rho.zarr", broken, atoms, grid)
    assert not chunk_files(tmp_path / "rho.zarr")


def test_blocks_of_nothing_are_stored_too(model, tmp_path):
    atoms = Atoms("NaCl", [[0.0, 0.0, 0.0], [2.3, 0.2, 0.0]])
    grid = Grid(np.diag([60.0, 10.0, 10.0]), (60, 10, 10), np.array([-5.0, -5.0, -5.0]))
    summary = predict(tmp_path / "rho.zarr", model, atoms, grid)
    assert summary.blocks == len(chunk_files(tmp_path / "rho.zarr")) > 5
    values = read(tmp_path / "rho.zarr").values
    assert (values[20:] == 0).all()
    assert np.abs(values[:20]).max() > 1e-2
    assert predict(tmp_path / "rho.zarr", model, atoms, grid).blocks_computed == 0


def test_blocks_of_nothing_hold_the_constant_of_a_network(tmp_path):
    atoms = Atoms("NaCl", [[0.0, 0.0, 0.0], [2.3, 0.2, 0.0]])
    grid = Grid(np.diag([60.0, 10.0, 10.0]), (60, 10, 10), np.array([-5.0, -5.0, -5.0]))
    network = small_network("released-painn", torch.float32)
    # Of a level that may be negative: the constant is.
    model = TrainedModel(Checkpoint.of_network(network, LevelOfTheory("PBE", "PAW")), "constant")
    summary = predict(tmp_path / "rho.zarr", model, atoms, grid)
    values = read(tmp_path / "rho.zarr").values
    expected = ProbeEngine(network, None, atoms).box(grid, (0, 0, 0), grid.shape)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    assert np.ptp(values[20:]) == 0.0
    assert values[-1, 0, 0] != 0.0
    electrons = expected.sum() * grid.voxel_volume
    assert summary.electrons == pytest.approx(electrons, rel=1e-5)


def test_the_baseline_and_double_precision_go_through(tmp_path):
    atoms = triclinic()
    grid = Grid(np.asarray(atoms.cell), (9, 12, 10))
    network = small_network("deepdft", torch.float64)
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    model = TrainedModel(Checkpoint.of_network(network, LEVEL, "pbe-gth-dzvp"), "double")
    predict_to_store(atoms, tmp_path / "rho.zarr", model, grid, block_points=300)
    whole = ProbeEngine(network, tables, atoms, 1).box(grid, (0, 0, 0), grid.shape)
    assert np.array_equal(read(tmp_path / "rho.zarr").values, whole.astype(np.float32))
    assert (
        ChunkedDensity(tmp_path / "rho.zarr").attributes["plan"]["settings"]["precision"]
        == "float64"
    )


@pytest.mark.parametrize("shape", [(33, 38, 30), (100, 7, 1), (64, 64, 64), (5, 200, 3)])
@pytest.mark.parametrize("points", [600, 4000, 10**8])
def test_blocks_divide_the_grid_evenly(shape, points):
    grid = Grid(np.diag(np.array(shape) * 0.2), shape)
    block = block_shape_for(grid, points)
    if points < np.prod(shape):
        assert 0.3 * points < np.prod(block) < 3.5 * points
    else:
        assert block == shape
    for size, end in zip(block, shape, strict=True):
        assert end % size == 0 or end % size >= size // 2
