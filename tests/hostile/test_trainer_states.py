"""Trainer states that are damaged, foreign or nonsense: nothing goes on from them."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")
pytest.importorskip("pytorch_lightning", reason="the extra train is not installed")

from deepdft.cli import main  # noqa: E402
from deepdft.errors import DeepDFTError, FileFormatError  # noqa: E402
from deepdft.training import train  # noqa: E402
from deepdft.training.config import TrainConfig  # noqa: E402
from deepdft.training.state import LeftState  # noqa: E402
from deepdft.training.trainer import STATE  # noqa: E402
from tests.small_data import write_archive  # noqa: E402
from tests.training.small_runs import assert_same, read_state, small_config  # noqa: E402

State = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A run of three steps, which may go on to six."""
    folder = tmp_path_factory.mktemp("run")
    archive = write_archive(folder / "four.npz", ["H2O", "CO", "H2O", "CO"])
    trainer = {"max_steps": 3, "validation_interval": 3}
    train(small_config(folder / "run", archive, trainer=trainer))
    longer = small_config(folder / "run", archive, trainer=trainer | {"max_steps": 6})
    return longer, folder / "run"


@pytest.fixture
def copied(run, tmp_path) -> tuple[TrainConfig, Path]:
    config, directory = run
    shutil.copytree(directory, tmp_path / "run")
    return config.model_copy(update={"run_directory": str(tmp_path / "run")}), tmp_path / "run"


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_state_is_refused_wherever_a_byte_has_changed(run, tmp_path) -> None:
    """Or it is the same as before: some bytes of a file mean nothing."""
    _, directory = run
    whole, content = (directory / STATE).read_bytes(), read_state(directory)
    random = Random(3)
    refused = 0
    for number in range(60):
        damaged = bytearray(whole)
        place = random.randrange(len(whole))
        damaged[place] ^= 1 << random.randrange(8)
        (tmp_path / STATE).write_bytes(damaged)
        told = sentence(tmp_path / STATE)
        if told is None:
            assert_same(read_state(tmp_path), content, f"change {number} at {place}")
        else:
            refused += 1
            assert "cannot be resumed" in told
            assert "\n" not in told
    assert refused > 30


def sentence(path: Path) -> str | None:
    try:
        LeftState(path)
    except FileFormatError as error:
        return str(error)
    return None


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.999])
def test_a_state_is_refused_wherever_it_ends_early(share: float, run, tmp_path) -> None:
    whole = (run[1] / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match="cannot be resumed"):
        LeftState(tmp_path / STATE)


def foreign(kind: str, path: Path, directory: Path) -> None:
    path.unlink()
    if kind == "a text":
        path.write_text("no state\n")
    elif kind == "an archive of arrays":
        np.savez(path.with_suffix(".npz"), weights=np.ones(3))
        path.with_suffix(".npz").rename(path)
    elif kind == "the weights of a model":
        shutil.copy(directory / "best" / "model.safetensors", path)
    elif kind == "other tensors":
        torch.save({"weight": torch.ones(3)}, path)
    else:
        path.mkdir()


@pytest.mark.parametrize(
    "kind",
    ["a text", "an archive of arrays", "the weights of a model", "other tensors", "a folder"],
)
def test_the_command_says_so_and_leaves_all_as_it_was(kind, copied, monkeypatch, capsys) -> None:
    config, directory = copied
    foreign(kind, directory / STATE, directory)
    before = contents(directory)
    (directory.parent / "train.yaml").write_text(config.to_yaml())
    words = ["deepdft", "train", str(directory.parent / "train.yaml"), "--resume"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "cannot be resumed" in told[0]
    assert contents(directory) == before


def first_of_optimizer(state: State) -> State:
    return next(iter(state["optimizer_states"][0]["state"].values()))


CHANGES: dict[str, Callable[[State], Any]] = {
    "no optimiser": lambda s: s.update(optimizer_states=[]),
    "an optimiser without a state": lambda s: s["optimizer_states"][0].pop("state"),
    "an optimiser of another network": lambda s: first_of_optimizer(s).update(
        exp_avg=torch.zeros(7)
    ),
    "moments that are not finite": lambda s: first_of_optimizer(s)["exp_avg"].fill_(float("nan")),
    "groups of none": lambda s: s["optimizer_states"][0].update(param_groups=[]),
    "no schedule": lambda s: s.update(lr_schedulers=[]),
    "a schedule of texts": lambda s: s["lr_schedulers"][0].update(last_epoch="x"),
    "loops of another kind": lambda s: s.update(loops={"fit_loop": 3}),
    "loops without entries": lambda s: s.update(loops={"fit_loop": {}}),
    "callbacks of another kind": lambda s: s.update(callbacks=3),
    "fewer steps in the loops": lambda s: s.update(global_step=1),
    "steps left out that are a text": lambda s: s.update(steps_left_out="x"),
    "a best that is a text": lambda s: s["callbacks"]["SaveBestModel"].update(best="x"),
    "weights that are not finite": lambda s: next(iter(s["state_dict"].values())).fill_(
        float("inf")
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_states_that_are_whole_and_make_no_sense(kind: str, copied) -> None:
    config, directory = copied
    state = copy.deepcopy(read_state(directory))
    CHANGES[kind](state)
    torch.save(state, directory / STATE)
    before = contents(directory)
    with pytest.raises(DeepDFTError) as caught:
        train(config, resume=True)
    assert "\n" not in str(caught.value)
    assert "cannot be resumed" in str(caught.value)
    assert contents(directory)[STATE] == before[STATE]
    assert contents(directory)["best/model.safetensors"] == before["best/model.safetensors"]


def test_a_state_does_not_name_what_is_removed(copied) -> None:
    """Lightning would remove the file of the state before, as the state names it."""
    config, directory = copied
    state = read_state(directory)
    kept = directory / "best"
    for of_callback in state["callbacks"].values():
        if "best_model_path" in of_callback:
            of_callback |= {"best_model_path": str(kept), "dirpath": str(directory)}
    torch.save(state, directory / STATE)
    assert str(kept) in str(read_state(directory)["callbacks"])
    train(config, resume=True)
    assert (kept / "model.safetensors").exists()
    assert read_state(directory)["global_step"] == 6
