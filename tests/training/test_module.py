"""The training step, the moving average, the learning rate and the validation error."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from deepdft.data import open_dataset
from deepdft.errors import ConfigurationError
from deepdft.testing.networks import small_network
from deepdft.training.batches import BatchBuilder
from deepdft.training.config import OptimizerConfig
from deepdft.training.module import MOST_LEFT_OUT_IN_A_ROW, DensityTraining


@pytest.fixture(scope="module")
def batch(archive):
    builder = BatchBuilder(open_dataset(archive), 4.0, None)
    return builder.build([0, 1], 40, 0.5, np.random.default_rng(0))


def training(monkeypatch=None, max_steps=1000, **options):
    module = DensityTraining(
        small_network("deepdft", torch.float32), OptimizerConfig(**options), max_steps
    )
    module.logged = {}
    module.log = lambda name, value, **rest: module.logged.update(
        {name: float(torch.as_tensor(value).detach())}
    )
    return module


@pytest.mark.parametrize(("loss", "power"), [("mean_squared_error", 2), ("mean_absolute_error", 1)])
def test_the_loss_is_the_weighted_mean_over_probes(batch, loss, power):
    module = training(loss=loss)
    shifted = copy.copy(batch)
    object.__setattr__(shifted, "baseline", torch.full_like(batch.target, 0.3))
    predicted = module.model(batch.graph, batch.edges) + 0.3
    expected = (batch.weights * (predicted - batch.target).abs() ** power).mean()
    found = module.training_step(shifted, 0)
    torch.testing.assert_close(found, expected)
    assert found.requires_grad
    assert module.logged["train/loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert batch.weights.std() > 0.1


def test_the_moving_average(batch, monkeypatch):
    module = training(average_decay=0.99)
    name = "probe_W1.weight"
    start = module.averaged.state_dict()[name].clone()
    assert torch.equal(start, module.model.state_dict()[name])
    assert not any(p.requires_grad for p in module.averaged.parameters())
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.add_(1.0)
    expected = start.clone()
    current = module.model.state_dict()[name]
    for step in (1, 50, 100_000):
        monkeypatch.setattr(type(module), "global_step", step)
        module.on_train_batch_end(None, batch, 0)
        decay = min(0.99, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * current
        torch.testing.assert_close(module.averaged.state_dict()[name], expected)
    # The network itself is left alone.
    assert torch.equal(module.model.state_dict()[name], start + 1.0)


def test_no_average_is_the_network_itself(batch, monkeypatch):
    module = training(average_decay=0.0)
    with torch.no_grad():
        module.model.probe_W1.weight.add_(1.0)
    monkeypatch.setattr(type(module), "global_step", 3)
    module.on_train_batch_end(None, batch, 0)
    for averaged, current in zip(
        module.averaged.parameters(), module.model.parameters(), strict=True
    ):
        torch.testing.assert_close(averaged, current)


def test_learning_rates():
    constant = training(warmup_steps=4, schedule="constant")
    factors = [constant._learning_rate_factor(step) for step in (0, 1, 4, 5, 10_000)]
    assert factors == pytest.approx([0.2, 0.4, 1.0, 1.0, 1.0])
    cosine = training(max_steps=200, warmup_steps=0, schedule="cosine")
    factors = [cosine._learning_rate_factor(step) for step in (0, 50, 100, 200, 300)]
    half = 0.01 + 0.99 * 0.5
    quarter = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 4))
    assert factors == pytest.approx([1.0, quarter, half, 0.01, 0.01])


def test_matrices_decay_and_vectors_do_not():
    module = training(learning_rate=0.5, warmup_steps=0, weight_decay=0.1)
    optimizer = module.configure_optimizers()["optimizer"]
    before = [p.detach().clone() for p in module.model.parameters()]
    for parameter in module.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for start, parameter in zip(before, module.model.parameters(), strict=True):
        expected = start * (1.0 - 0.5 * 0.1) if start.ndim > 1 else start
        torch.testing.assert_close(parameter.detach(), expected)


def test_the_optimiser_sees_the_network_only():
    module = training(learning_rate=3e-4, warmup_steps=0)
    configured = module.configure_optimizers()
    optimizer = configured["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    inside = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert inside == {id(p) for p in module.model.parameters()}
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-4)
    assert configured["lr_scheduler"]["interval"] == "step"


def test_the_validation_error_is_equation_7_of_the_averaged_network(archive):
    builder = BatchBuilder(open_dataset(archive), 4.0, None)
    parts = [builder.build([i], 50, 0.5, np.random.default_rng(i)) for i in range(3)]
    module = training().eval()
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.add_(5.0)
    module.on_validation_epoch_start()
    with torch.no_grad():
        for i, part in enumerate(parts):
            module.validation_step(part, i)
    module.on_validation_epoch_end()
    expected = []
    for part in parts:
        with torch.no_grad():
            predicted = module.averaged(part.graph, part.edges)
        error = (part.weights * (predicted - part.target).abs()).sum()
        expected.append(float(error / (part.weights * part.target).sum()))
    assert module.logged["validation/eps_mae"] == pytest.approx(100 * np.mean(expected), rel=1e-5)
    assert module.logged["validation/eps_mae_max"] == pytest.approx(100 * max(expected), rel=1e-5)
    # A second validation forgets the first.
    module.on_validation_epoch_start()
    assert module._validation == []


# Gradients that are not finite


def with_gradient(module, value):
    """Give every weight a gradient and clip it as the trainer would."""
    for parameter in module.model.parameters():
        parameter.grad = torch.full_like(parameter, value)
    module.configure_gradient_clipping(None, 1.0, "norm")
    return [p.grad for p in module.model.parameters()]


def test_steps_that_are_left_out_are_counted():
    module = training()
    assert all(gradient is not None for gradient in with_gradient(module, 1.0))
    assert module.left_out == 0
    for value in (math.nan, math.inf):
        assert all(gradient is None for gradient in with_gradient(module, value))
    assert module.left_out == module.logged["steps left out"] == 2
    state = {}
    module.on_save_checkpoint(state)
    again = training()
    again.on_load_checkpoint(state)
    assert again.left_out == 2
    # States written before they were counted.
    again.on_load_checkpoint({})
    assert again.left_out == 0


def test_a_stretch_of_steps_left_out_ends_the_run():
    module = training()
    for _ in range(3):
        for _ in range(MOST_LEFT_OUT_IN_A_ROW - 1):
            with_gradient(module, math.nan)
        with_gradient(module, 1.0)
    for _ in range(MOST_LEFT_OUT_IN_A_ROW - 1):
        with_gradient(module, math.nan)
    with pytest.raises(ConfigurationError, match=r"step 1: .* last 100 steps were not finite"):
        with_gradient(module, math.nan)
    assert module.left_out == 4 * MOST_LEFT_OUT_IN_A_ROW - 3
