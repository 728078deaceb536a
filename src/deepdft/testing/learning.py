"""What an architecture needs to be trained, kept, tuned and given expected errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.architectures import DensityModel, create_model
from deepdft.architectures.settings import EvaluationSettings, Filters
from deepdft.density import Grid
from deepdft.errors import FileFormatError
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import load_checkpoint, save_checkpoint
from deepdft.models.networks import transfer_weights
from deepdft.prediction.trained_model import TrainedModel
from deepdft.testing.gaussians import ELECTRONS as VALENCE
from deepdft.testing.gaussians import PBE, Gaussians, rattled
from deepdft.testing.networks import (
    NEVER_REACHED,
    density_at,
    forward,
    random_rotation,
    small_network,
)
from deepdft.testing.structures import ELEMENTS, STRUCTURES, ethanol, points_near, triclinic
from deepdft.uncertainty.fit import fit_error_model


class LearningConformance:
    """Gradients of parameters, model folders, fine-tuning, error models."""

    @pytest.mark.parametrize("filters", ["tabulated", "direct"])
    def test_gradients_reach_every_parameter(self, network: DensityModel, filters: Filters) -> None:
        network.settings = EvaluationSettings(filters=filters)
        network.train()
        atoms = triclinic()
        forward(network, atoms, points_near(atoms, 50)).square().sum().backward()
        rows = [network.elements.index(z) for z in atoms.numbers]
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            if name in network.architecture.per_element:
                reached = parameter.grad.flatten(1).abs().sum(dim=1) > 0
                assert sorted(torch.nonzero(reached)[:, 0].tolist()) == sorted(rows), name
            else:
                # All along the first axis: interaction steps, or outputs.
                reached = (parameter.grad.reshape(len(parameter), -1) != 0).any(dim=1)
                unreached = set(torch.nonzero(~reached)[:, 0].tolist())
                key = (network.architecture.name, name)
                assert unreached == NEVER_REACHED.get(key, set()), name

    def test_gradients_of_tabulated_filters_are_those_of_direct_ones(
        self, network: DensityModel
    ) -> None:
        atoms = triclinic()
        found: list[dict[str, Any]] = []
        for filters in ("tabulated", "direct"):
            network.settings = EvaluationSettings(filters=filters)
            network.zero_grad(set_to_none=True)
            forward(network, atoms, points_near(atoms, 50)).square().sum().backward()
            found.append({name: p.grad for name, p in network.named_parameters()})
            assert all(grad is not None for grad in found[-1].values())
        for name, direct in found[1].items():
            scale = float(direct.abs().max())
            torch.testing.assert_close(found[0][name], direct, rtol=0, atol=1e-5 * scale)

    def test_expected_errors(self, network: DensityModel) -> None:
        """An error model can be fitted to any architecture; what it expects is consistent."""
        model = TrainedModel(Checkpoint.of_network(network, PBE, None, {}), "mine")
        model.threads = 1
        structures = [ethanol(), triclinic(), STRUCTURES["sodium_chloride"]()]
        structures.append(Atoms("AlOH", [[0, 0, 0], [0, 0, 1.7], [0, 0.9, 2.1]]))
        train = Gaussians(rattled(structures * 2, 0), "train")
        held_out = Gaussians(rattled(structures, 50), "held_out")
        model.error_model = fit_error_model(model, train, held_out)
        atoms = ethanol()
        found = model.uncertainty(atoms)
        volume = found.volume(Grid.around(atoms, 0.12, 5.0))
        electrons = float(sum(VALENCE[z] for z in atoms.numbers))
        assert volume.n_electrons == pytest.approx(found.shares.sum(), rel=5e-3)
        assert found.eps_mae == pytest.approx(found.shares.sum() / electrons, rel=0.05)
        rotation = random_rotation(2)
        turned = atoms.copy()
        turned.positions = atoms.positions @ rotation.T
        again = model.uncertainty(turned)
        np.testing.assert_allclose(again.shares, found.shares, rtol=1e-6)
        np.testing.assert_allclose(again.distances, found.distances, rtol=1e-6)
        points = points_near(atoms, 20)
        np.testing.assert_allclose(again.at(points @ rotation.T), found.at(points), rtol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_saved_and_loaded(self, architecture: str, dtype: torch.dtype, tmp_path: Any) -> None:
        # As a loaded one: torch.matmul takes shapes apart otherwise where gradients may be wanted,
        # which some processors round otherwise.
        network = small_network(architecture, dtype).requires_grad_(False)
        level = LevelOfTheory("PBE", "PAW", "400 eV", "VASP 6.4")
        save_checkpoint(
            Checkpoint.of_network(network, level, None, {"about": "Å"}), tmp_path / "model"
        )
        assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
            "model.json",
            "model.safetensors",
        ]
        loaded = load_checkpoint(tmp_path / "model")
        assert (loaded.level, loaded.baseline, loaded.card) == (level, None, {"about": "Å"})
        assert loaded.network.architecture.name == architecture
        assert loaded.network.options == network.options
        assert loaded.network.elements == network.elements
        assert not loaded.network.training
        before, after = network.state_dict(), loaded.network.state_dict()
        assert list(before) == list(after)
        for name, tensor in before.items():
            assert tensor.dtype == after[name].dtype
            assert torch.equal(tensor, after[name]), name
        atoms = ethanol()
        points = points_near(atoms, 20)
        assert np.array_equal(
            density_at(loaded.network, atoms, points), density_at(network, atoms, points)
        )

    def test_transfer_to_more_elements(self, architecture: str, network: DensityModel) -> None:
        torch.manual_seed(99)
        options = network.options.model_dump()
        target = create_model(architecture, options, [2, 6, *ELEMENTS, 79]).double().eval()
        fresh = {name: tensor.clone() for name, tensor in target.state_dict().items()}
        transfer_weights(network, target)
        old = [target.elements.index(z) for z in ELEMENTS]
        new = [target.elements.index(z) for z in (2, 79)]
        assert network.architecture.per_element
        for name, tensor in target.state_dict().items():
            source = network.state_dict()[name]
            if name in network.architecture.per_element:
                assert torch.equal(tensor[old], source), name
                # Inferred from similar elements, as far as these say something.
                assert torch.isfinite(tensor[new]).all(), name
                assert not torch.equal(tensor[new], fresh[name][new]), name
            else:
                assert torch.equal(tensor, source), name
        atoms = ethanol()
        points = points_near(atoms, 20)
        assert np.array_equal(density_at(target, atoms, points), density_at(network, atoms, points))
        assert np.isfinite(
            density_at(target, Atoms("HeAu", [[0, 0, 0], [0, 0, 2.0]]), points)
        ).all()

    def test_transfer_needs_the_same_options(
        self, architecture: str, network: DensityModel
    ) -> None:
        options = {**network.options.model_dump(), "cutoff": 3.5}
        with pytest.raises(FileFormatError, match="same architecture and options"):
            transfer_weights(network, create_model(architecture, options, ELEMENTS))
