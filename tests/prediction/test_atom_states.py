"""Atoms encoded in chunks are atoms encoded at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures.base import DensityModel
from deepdft.architectures.settings import EvaluationSettings
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.graphs import atom_graph
from deepdft.prediction import torch_encoding
from deepdft.prediction.atom_states import map_atom_states, write_atom_states
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.evaluation import evaluated
from deepdft.prediction.torch_encoding import encode_in_torch
from deepdft.testing.networks import small_network
from deepdft.testing.structures import points_near, slab, sodium_chloride


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    structure = sodium_chloride() * (2, 2, 1)
    structure.rattle(0.1, seed=2)
    return structure


def at_once(network: DensityModel, atoms: Atoms) -> torch.Tensor:
    parameter = next(network.parameters())
    with torch.no_grad():
        return network.encode(atom_graph(atoms, network.cutoff).to(dtype=parameter.dtype))


@pytest.mark.parametrize("filters", ["tabulated", "direct"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize("chunk", [1, 7, 31])
def test_chunks_change_nothing(atoms, chunk, dtype, tolerance, filters):
    network = small_network("deepdft", dtype, steps=3)
    network.settings = EvaluationSettings(filters=filters)
    expected = at_once(network, atoms)
    found = encode_in_torch(network, atoms, 1, chunk=chunk)
    assert found.shape == (3, len(atoms), 8)
    assert found.dtype == dtype
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_threads_change_no_bit(atoms):
    network = small_network("deepdft", torch.float32)
    one = encode_in_torch(network, atoms, 1, chunk=5)
    for _ in range(5):
        assert torch.equal(encode_in_torch(network, atoms, 4, chunk=5), one)


def test_chunks_of_vectors_of_full_width_change_no_bit(atoms):
    # With rows of whole vectors a matrix product treats all rows alike.
    network = small_network("deepdft", torch.float32, channels=128, steps=2)
    expected = at_once(network, atoms)
    assert torch.equal(encode_in_torch(network, atoms, 1, chunk=16), expected)


@pytest.mark.parametrize("chunk", [4, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_states_in_a_file(tmp_path, monkeypatch, chunk, dtype):
    monkeypatch.setattr(torch_encoding, "CHUNK_ATOMS", chunk)
    network, atoms = evaluated(small_network("deepdft", dtype)), slab()
    write_atom_states(network, atoms, tmp_path / "states.npy", 1)
    mapped = map_atom_states(tmp_path / "states.npy")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, np.asarray(network.encode(atoms, 1)))
    points = points_near(atoms, 50)
    engine = ProbeEngine(network, None, atoms, 1, senders=mapped)
    expected = ProbeEngine(network, None, atoms, 1).at(points)
    assert np.ptp(expected) > 1e-2
    np.testing.assert_allclose(engine.at(points), expected, rtol=0, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["states.npy"]


def test_nothing_is_left_of_a_failure(tmp_path):
    atoms = Atoms("NaKr", [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    with pytest.raises(UnsupportedStructureError, match="Kr"):
        write_atom_states(evaluated(small_network("deepdft")), atoms, tmp_path / "states.npy")
    assert not list(tmp_path.iterdir())


def test_an_architecture_without_steps_is_encoded_at_once(atoms, monkeypatch):
    network = small_network("deepdft")
    expected = at_once(network, atoms)
    monkeypatch.setattr(network, "atom_steps", lambda: None)
    assert torch.equal(encode_in_torch(network, atoms, 1, chunk=3), expected)
