"""Model folders, trainer states and released checkpoints of strangers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

torch = pytest.importorskip("torch", reason="the extra train is not installed")
from safetensors.torch import save_file  # noqa: E402

from deepdft.errors import DeepDFTError, FileFormatError  # noqa: E402
from deepdft.levels import LevelOfTheory  # noqa: E402
from deepdft.models.checkpoint import Checkpoint  # noqa: E402
from deepdft.models.folder import load_checkpoint, save_checkpoint  # noqa: E402
from deepdft.models.overview import ModelOverview  # noqa: E402
from deepdft.prediction.trained_model import load_model  # noqa: E402
from deepdft.testing.networks import small_network  # noqa: E402

NAN = float("nan")


@pytest.fixture(scope="module")
def network():
    return small_network("deepdft", torch.float32)


@pytest.fixture
def folder(network, tmp_path) -> Path:
    card = {"electrons": {"H": 1, "O": 6}, "charges": [0]}
    checkpoint = Checkpoint.of_network(network, LevelOfTheory("PBE"), None, card)
    save_checkpoint(checkpoint, tmp_path / "model")
    return tmp_path / "model"


def change(folder: Path, **entries: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def nested(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found


WRONG = [
    {"elements": 3}, {"elements": [[1]]}, {"elements": [{}]}, {"elements": []}, {"elements": "H"},
    {"elements": ["H", "H"]}, {"elements": ["X"]}, {"elements": ["H" * 10_000]},
    {"architecture": [1]}, {"architecture": 3}, {"architecture": None},
    {"architecture": "x" * 100_000}, {"options": [1]}, {"options": "abc"}, {"options": None},
    {"level": [1]}, {"level": "x"}, {"level": {"functional": nested(900)}}, {"level": {"core": 3}},
    {"card": [1]}, {"card": 3}, {"card": {"charges": 3}}, {"card": {"charges": ["a"]}},
    {"card": {"charges": [10**30]}}, {"card": {"electrons": [1]}},
    {"card": {"electrons": {"H": NAN}}}, {"card": {"electrons": {"H": 10**30}}},
    {"card": {"electrons": {"H": 0.5}}}, {"card": {"needs": 3}}, {"card": {"kind": [1]}},
    {"card": {"kind": "x"}}, {"card": {"molecule": 4}}, {"card": {"validation": [1]}},
    {"card": {"test": {"eps_mae_percent": "x"}}}, {"card": {"training": 3}},
    {"format": "x"}, {"format": 1e30}, {"format": [1]}, {"format": True}, {"format": 0},
    {"baseline": "/etc/passwd"}, {"baseline": "../../x"}, {"baseline": ["x"]},
    {"format": 1, "baseline": "/etc/passwd"}, {"tables": 3}, {"tables": "/etc/passwd"},
    {"tables": "../x.npz"},
]  # fmt: skip


def use(folder: Path) -> None:
    ModelOverview.of_folder("m", folder)
    load_checkpoint(folder)


@pytest.mark.parametrize("entries", WRONG, ids=lambda entries: repr(entries)[:40])
def test_descriptions_of_wrong_types_are_sentences(entries, folder) -> None:
    change(folder, **entries)
    with pytest.raises(DeepDFTError) as caught:
        use(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 10**9), ("steps", 33), ("steps", 0), ("steps", 1e30), ("channels", 10**9),
        ("channels", -1), ("cutoff", 1e300), ("cutoff", 1e-300), ("cutoff", float("inf")),
        ("cutoff", NAN), ("cutoff", [4]), ("gaussian_width", 1e-12), ("gaussian_width", 1e300),
        ("gaussian_width", 0), ("envelope", 3),
    ],
)  # fmt: skip
def test_options_that_nobody_can_mean(name, value, folder) -> None:
    options = json.loads((folder / "model.json").read_text())["options"]
    change(folder, options=options | {name: value})
    with pytest.raises(DeepDFTError, match="architecture 'deepdft'"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["scalars", "tensors", "hidden", "fields", "softness", "degree"])
def test_options_of_the_other_architecture(name) -> None:
    from deepdft.architectures import parse_options

    for value in (10**9, 1e300):
        with pytest.raises(DeepDFTError, match="architecture 'equivariant'"):
            parse_options("equivariant", {name: [value] if name == "fields" else value})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda w: w.int(), "of the type I32"),
        (lambda w: w.bfloat16(), "of the type BF16"),
        (lambda w: w > 0, "of the type BOOL"),
        (lambda w: w * NAN, "not finite"),
        (lambda w: w * float("inf"), "not finite"),
    ],
)
def test_weights_that_are_none(make, sentence, folder, network) -> None:
    weights = {name: make(value).contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(FileFormatError, match=f"cannot be used: .*{sentence}"):
        load_checkpoint(folder)


def test_weights_of_other_shapes_or_names(folder, network) -> None:
    water = molecule("H2O")
    for weights in (
        {},
        {name: value[..., :1].contiguous() for name, value in network.state_dict().items()},
        {f"x.{name}": value for name, value in network.state_dict().items()},
    ):
        save_file(weights, folder / "model.safetensors")
        with pytest.raises(FileFormatError, match="The weights"):
            load_model(folder, "cpu").density_at(water, [[0.0, 0, 0]])


def test_weights_that_overflow_are_told_where_the_density_is(folder, network) -> None:
    weights = {name: value * 1e30 for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    with (
        np.errstate(all="ignore"),
        pytest.raises(DeepDFTError, match="densities that are not finite"),
    ):
        load_model(folder, "cpu").density_at(molecule("H2O"), [[0.0, 0, 0.2]])


def test_headers_of_weights_that_claim_too_much(folder) -> None:
    about = {"x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    header = json.dumps(about).encode()
    for content in (
        len(header).to_bytes(8, "little") + header,
        (10**15).to_bytes(8, "little") + header,
        b"",
        b"\x80\x04cos\nsystem\n",
    ):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(FileFormatError, match="cannot be used"):
            load_checkpoint(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "electrons.npz"])
def test_pipes_in_place_of_files_are_not_waited_for(name, folder) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(FileFormatError):
        load_checkpoint(folder)


class Code:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.mark}",)


def state(**entries: object) -> dict[str, object]:
    progress = {"optimizer": {"step": {"total": {"completed": 3}}}}
    loops = {"fit_loop": {"epoch_loop.automatic_optimization.optim_progress": progress}}
    known = {
        "global_step": 3, "epoch": 0, "state_dict": {}, "loops": loops, "optimizer_states": [{}],
        "lr_schedulers": [{}],
        "network": {"architecture": "deepdft", "options": {}, "elements": [1]},
    }  # fmt: skip
    return known | entries


@pytest.mark.parametrize(
    "content",
    [
        [1, 2], 3, {}, {"global_step": 3}, state(global_step="x"), state(global_step=-1),
        state(global_step=10**30), state(state_dict=[]), state(optimizer_states={}),
        state(loops=None), state(network=[1]), state(network={"architecture": "deepdft"}),
        state(network={"architecture": "deepdft", "options": 3, "elements": [1]}),
        state(network={"architecture": "deepdft", "options": {}, "elements": [500]}),
        state(network={"architecture": "deepdft", "options": {}, "elements": "H"}),
    ],
)  # fmt: skip
def test_trainer_states_that_are_none(content, tmp_path) -> None:
    from deepdft.training.state import LeftState

    torch.save(content, tmp_path / "trainer_state.ckpt")
    with pytest.raises(FileFormatError, match="cannot be resumed"):
        LeftState(tmp_path / "trainer_state.ckpt")


def test_trainer_states_with_code_are_not_opened(tmp_path) -> None:
    from deepdft.training.state import LeftState

    mark = tmp_path / "mark"
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save(state(loops=Code(mark)), tmp_path / "s.ckpt", **options)
        with pytest.raises(FileFormatError, match="it is not opened"):
            LeftState(tmp_path / "s.ckpt")
    assert not mark.exists()


def test_trainer_states_of_other_weights(tmp_path) -> None:
    from deepdft.training.state import LeftState

    module = torch.nn.Linear(2, 3)
    good = {name: value.clone() for name, value in module.state_dict().items()}
    for weights, sentence in (
        (good | {"weight": torch.zeros(3, 3)}, "'weight' does not fit"),
        ({"weight": good["weight"]}, "'bias' does not fit"),
        (good | {"bias": torch.full((3,), NAN)}, "not finite"),
        (good | {"other": torch.zeros(1)}, "'other' is no weight"),
    ):
        torch.save(state(state_dict=weights), tmp_path / "s.ckpt")
        with pytest.raises(FileFormatError, match=sentence):
            LeftState(tmp_path / "s.ckpt").require_weights(module)
    torch.save(state(state_dict=good), tmp_path / "s.ckpt")
    left = LeftState(tmp_path / "s.ckpt")
    left.require_weights(module)
    with (
        pytest.raises(FileFormatError, match="cannot be resumed: 'x'"),
        left.restored(lambda: False),
    ):
        raise KeyError("x")
    with pytest.raises(KeyError), left.restored(lambda: True):
        raise KeyError("x")
