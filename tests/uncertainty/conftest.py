"""A small trained model with an error model, in memory and in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ase import Atoms
from ase.build import molecule

from deepdft.architectures import create_model
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.expected_errors.error_model import save_error_model
from deepdft.models.folder import save_checkpoint
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.testing.gaussians import PBE, Gaussians, rattled
from deepdft.uncertainty.fit import fit_error_model

NAMES = ("CH4", "CH3OH", "H2O", "C2H6", "H2CO", "HCOOH", "NH3", "CH3CONH2")


def molecules(seed: int) -> list[Atoms]:
    """Return small molecules with displaced atoms."""
    plain = [Atoms(m.numbers, m.positions) for m in map(molecule, NAMES)]
    return rattled(plain, seed)


@pytest.fixture(scope="session")
def train() -> Gaussians:
    """Structures that count as those of training."""
    return Gaussians(molecules(0) + molecules(100) + molecules(200), "train")


@pytest.fixture(scope="session")
def validation() -> Gaussians:
    """Structures held out."""
    return Gaussians(molecules(300) + molecules(400), "validation")


def small_checkpoint() -> Checkpoint:
    """Return an equivariant network with random weights on top of superposed atoms."""
    torch.manual_seed(1)
    options = {"scalars": 16, "tensors": 6, "degree": 2, "fields": (8, 6, 4), "hidden": 8}
    network = create_model("equivariant", options, [1, 6, 7, 8]).eval()
    card = {"electrons": {"H": 1, "C": 4, "N": 5, "O": 6}}
    return Checkpoint.of_network(network, PBE, "pbe-gth-dzvp", card)


@pytest.fixture(scope="session")
def folder(
    tmp_path_factory: pytest.TempPathFactory, train: Gaussians, validation: Gaussians
) -> Path:
    """A model folder with a fitted error model."""
    path = tmp_path_factory.mktemp("model")
    save_checkpoint(small_checkpoint(), path)
    save_error_model(fit_error_model(load_model(path, "cpu"), train, validation), path)
    return path


@pytest.fixture
def model(folder: Path) -> TrainedModel:
    """The model of the folder."""
    loaded = load_model(folder, "cpu")
    loaded.threads = 1
    return loaded
