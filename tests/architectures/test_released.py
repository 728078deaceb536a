"""The released architectures: every number of the authors' code, and their directories."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures.settings import EvaluationSettings
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.geometry.graphs import atom_graph, probe_edges
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import find_model, open_checkpoint
from deepdft.models.folder import load_checkpoint
from deepdft.models.importing import import_model
from deepdft.models.released_checkpoint import load_released_checkpoint
from deepdft.prediction import load_model
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.networks import forward

FOLDER = Path(__file__).parent / "released"
KINDS = ["schnet", "painn"]
STRUCTURES = ["ethanol_open", "triclinic_small", "nacl_cubic", "slab_mixed_pbc"]
SHARED = Path(__file__).parents[3] / "shared" / "parity"


class Expected:
    """A structure with what the released code says of it."""

    def __init__(self, kind, name):
        with np.load(FOLDER / kind / "expected.npz") as arrays:
            found = {key: arrays[f"{name}/{key}"] for key in (
                "numbers", "positions", "cell", "pbc", "probes", "density", "n_atom_edges",
                "n_probe_edges",
            )}  # fmt: skip
        self.atoms = Atoms(
            found["numbers"], found["positions"], cell=found["cell"], pbc=found["pbc"]
        )
        self.probes, self.density = found["probes"], found["density"]
        self.edges = int(found["n_atom_edges"]), int(found["n_probe_edges"])


def network_of(kind, dtype=torch.float64, filters="tabulated"):
    network = load_released_checkpoint(FOLDER / kind).network.to(dtype)
    network.settings = EvaluationSettings(filters=filters)
    return network


# Every number


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_the_released_code(kind, name):
    expected = Expected(kind, name)
    # Without this a constant would pass.
    assert np.ptp(expected.density) > 1e-4
    network = network_of(kind, filters="direct")
    graph = atom_graph(expected.atoms, network.cutoff)
    edges = probe_edges(expected.atoms, expected.probes, network.cutoff)
    assert (len(graph.edges.senders), len(edges.senders)) == expected.edges
    for filters, tolerance in (("direct", 1e-13), ("tabulated", 1e-8)):
        network.settings = EvaluationSettings(filters=filters)
        found = forward(network, expected.atoms, expected.probes).numpy()
        np.testing.assert_allclose(found, expected.density, rtol=0, atol=tolerance)
        engine = ProbeEngine(network, None, expected.atoms, threads=1)
        found = engine.at(expected.probes)
        np.testing.assert_allclose(found, expected.density, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_probes_with_no_atom_in_reach_keep_the_constant(kind):
    expected = Expected(kind, "ethanol_open")
    network = network_of(kind)
    edges = probe_edges(expected.atoms, expected.probes, network.cutoff)
    alone = ~edges.in_reach.numpy()
    assert alone.sum() >= 3
    found = ProbeEngine(network, None, expected.atoms).at(expected.probes[alone])
    np.testing.assert_allclose(found, expected.density[alone], rtol=0, atol=1e-15)
    assert np.ptp(found) == 0.0
    assert found[0] != 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_as_stored(kind):
    network = network_of(kind, torch.float32)
    assert load_model(FOLDER / kind, "cpu").network.embedding.weight.dtype == torch.float32
    for name in STRUCTURES:
        expected = Expected(kind, name)
        found = ProbeEngine(network, None, expected.atoms).at(expected.probes)
        np.testing.assert_allclose(found, expected.density, rtol=0, atol=2e-6)


def test_the_numbers_here_are_those_that_were_given():
    if not SHARED.exists():
        pytest.skip("the directory the numbers were copied from is not here")
    for kind in KINDS:
        for path in sorted((SHARED / kind).iterdir()):
            assert path.read_bytes() == (FOLDER / kind / path.name).read_bytes(), path


# Directories


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_a_directory(kind):
    checkpoint = load_released_checkpoint(FOLDER / kind)
    network = checkpoint.network
    assert network.architecture.name == f"released-{kind}"
    assert network.elements == tuple(range(1, 119))
    assert network.cutoff == 4.0
    assert network.options.steps == {"schnet": 3, "painn": 2}[kind]
    assert network.options.channels == 16
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert checkpoint.level == LevelOfTheory()
    assert checkpoint.baseline is None
    assert checkpoint.card["training"]["steps"] == 5000
    assert checkpoint.card["training"]["best_validation_mae"] == 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_is_a_model_by_any_of_its_names(kind):
    folder = FOLDER / kind
    for given in (folder, str(folder), folder / "arguments.json", folder / "best_model.pth"):
        assert find_model(given) == folder
        assert load_model(given, "cpu").network.architecture.name == f"released-{kind}"


@pytest.fixture(params=KINDS)
def copied(request, tmp_path):
    """A copy of a directory."""
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / request.param))


def change_arguments(folder, **values):
    path = folder / "arguments.json"
    arguments = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in arguments.items() if v is not None}))


def change_weights(folder, change):
    stored = torch.load(folder / "best_model.pth", weights_only=True)
    change(stored)
    torch.save(stored, folder / "best_model.pth")


def test_only_the_cutoff_is_needed_from_the_arguments(copied):
    (copied / "arguments.json").write_text('{"cutoff": 4}')
    loaded, whole = load_released_checkpoint(copied), load_released_checkpoint(FOLDER / copied.name)
    assert loaded.network.options == whole.network.options
    for one, other in zip(loaded.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_elements_are_those_that_training_has_seen(copied):
    def add_state(stored):
        name = "atom_model.atom_embeddings.weight"
        squares = torch.zeros_like(stored["model"][name])
        squares[[1, 6, 8]] = 1e-9
        place = list(stored["model"]).index(name)
        stored["optimizer"]["state"] = {place: {"step": 5000.0, "exp_avg_sq": squares}}

    change_weights(copied, add_state)
    network = load_released_checkpoint(copied).network.double()
    assert network.elements == (1, 6, 8)
    expected = Expected(copied.name, "ethanol_open")
    network.settings = EvaluationSettings(filters="direct")
    found = forward(network, expected.atoms, expected.probes).numpy()
    np.testing.assert_allclose(found, expected.density, rtol=0, atol=1e-13)
    with pytest.raises(UnsupportedStructureError, match="does not know Cl"):
        load_model(copied, "cpu").density_at(Expected(copied.name, "nacl_cubic").atoms, [[0, 0, 0]])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cutoff": None}, "no positive 'cutoff'"),
        ({"cutoff": -4.0}, "no positive 'cutoff'"),
        ({"cutoff": "4"}, "no positive 'cutoff'"),
        ({"num_interactions": 5}, "says 'num_interactions': 5, its weights"),
        ({"node_size": 128}, "says 'node_size': 128, its weights 16"),
    ],
)
def test_arguments_that_are_refused(copied, values, sentence):
    change_arguments(copied, **values)
    with pytest.raises(FileFormatError, match=sentence):
        load_released_checkpoint(copied)


def test_arguments_of_the_other_architecture_are_refused(copied):
    change_arguments(copied, use_painn_model=copied.name == "schnet")
    with pytest.raises(FileFormatError, match="its weights the opposite"):
        load_released_checkpoint(copied)


def test_a_cutoff_that_does_not_fit_the_gaussians_is_refused(tmp_path):
    folder = Path(shutil.copytree(FOLDER / "schnet", tmp_path / "schnet"))
    change_arguments(folder, cutoff=5.0)
    with pytest.raises(FileFormatError, match=r"shape .* where a model of these sizes has"):
        load_released_checkpoint(folder)


LAST = "probe_model.readout_function.2.weight"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda stored: stored.pop("model"), "holds no weights under the key 'model'"),
        (lambda stored: stored["model"].clear(), "have no 'atom_model.atom_embeddings.weight'"),
        (lambda stored: stored["model"].pop(LAST), f"its weights have no '{LAST}'"),
        (lambda stored: stored["model"].update(extra=torch.ones(3)), "weights that the released"),
        (lambda stored: stored["model"].update({LAST: torch.ones(2, 16)}), "has the shape"),
        (
            lambda stored: stored["model"].update(
                {"atom_model.atom_embeddings.weight": torch.ones(16)}
            ),
            "has the shape",
        ),
        (
            lambda stored: stored["model"].update(
                {name: torch.ones(3) for name in stored["model"] if "_mlp.0.weight" in name
                 or "function_edge.0.weight" in name}
            ),
            "is not a matrix",
        ),
    ],
)  # fmt: skip
def test_weights_that_are_refused(copied, change, sentence):
    change_weights(copied, change)
    with pytest.raises(FileFormatError, match=sentence) as caught:
        load_released_checkpoint(copied)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused(copied):
    weights = copied / "best_model.pth"
    whole = weights.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights at all", whole[:-3000]):
        weights.write_bytes(content)
        with pytest.raises(FileFormatError, match="is damaged, or holds more than"):
            load_model(copied)
    weights.unlink()
    with pytest.raises(FileFormatError, match=r"best_model\.pth cannot be read"):
        load_model(copied)
    (copied / "arguments.json").write_text("{")
    with pytest.raises(FileFormatError, match="is not valid JSON"):
        load_model(copied)
    (copied / "arguments.json").write_text("[4.0]")
    with pytest.raises(FileFormatError, match="does not hold the arguments"):
        load_model(copied)
    (copied / "arguments.json").unlink()
    weights.write_bytes(whole)
    with pytest.raises(FileFormatError, match=r"arguments\.json cannot be read"):
        load_model(copied)
    weights.unlink()
    with pytest.raises(ConfigurationError, match="is not a model folder"):
        load_model(copied)


def test_code_in_a_checkpoint_does_not_run(copied, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_here"), "w"))

    for write in (torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))):
        write({"model": Attack()}, copied / "best_model.pth")
        with pytest.raises(FileFormatError, match="it is not opened"):
            load_model(copied)
    assert not (tmp_path / "was_here").exists()


# Model folders


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_model_is_the_same_model(kind, tmp_path):
    written = import_model(FOLDER / kind, tmp_path / "model", level=LevelOfTheory("PBE", "PAW"))
    assert written.level == LevelOfTheory("PBE", "PAW")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json", "model.safetensors",
    }  # fmt: skip
    loaded, source = load_checkpoint(tmp_path / "model"), open_checkpoint(FOLDER / kind)
    assert loaded.level == written.level
    assert loaded.card == source.card
    assert loaded.network.elements == source.network.elements
    expected = Expected(kind, "triclinic_small")
    found = [
        ProbeEngine(c.network, None, expected.atoms, 1).at(expected.probes)
        for c in (loaded, source)
    ]
    assert np.array_equal(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_keeps_the_elements_asked_for(kind, tmp_path):
    import_model(FOLDER / kind, tmp_path / "few", elements=["O", "C", "H"])
    network = load_checkpoint(tmp_path / "few").network.double()
    assert network.elements == (1, 6, 8)
    network.settings = EvaluationSettings(filters="direct")
    expected = Expected(kind, "ethanol_open")
    found = forward(network, expected.atoms, expected.probes).numpy()
    np.testing.assert_allclose(found, expected.density, rtol=0, atol=1e-13)


def test_imports_that_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    with pytest.raises(ConfigurationError, match="exists already"):
        import_model(FOLDER / "painn", tmp_path / "full")
    for elements, sentence in ((["C", "Qq"], "'Qq' is not an element that"), ([], "No element")):
        with pytest.raises(ConfigurationError, match=sentence):
            import_model(FOLDER / "painn", tmp_path / "new", elements=elements)
    assert not (tmp_path / "new").exists()
