"""Filters' own derivatives against those of forward-mode differentiation."""

from __future__ import annotations

import pytest
import torch

from deepdft.architectures import create_model
from deepdft.architectures.released_painn.sinc_basis import SincBasis, cosine_cutoff
from deepdft.kernels.autograd.tables import WithDerivatives, tabulate


@pytest.mark.parametrize("envelope", ["published", "smooth"])
def test_derivatives_of_filters(envelope):
    torch.manual_seed(0)
    options = {"steps": 2, "channels": 6, "envelope": envelope, "cutoff": 3.0}
    model = create_model("deepdft", options, [8]).double()
    filters = model.probe_filter_network
    assert isinstance(filters, WithDerivatives)
    distances = torch.cat((torch.zeros(1), torch.rand(40) * 3.0, torch.tensor([3.0]))).double()
    one = torch.ones_like(distances)

    def slopes(x):
        return torch.func.jvp(filters, (x,), (one,))[1]

    found = filters.derivatives(distances)
    expected = (filters(distances), *torch.func.jvp(slopes, (distances,), (one,)))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == (2, 42, 6)
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
    assert expected[2].abs().max() > 1.0


def test_tables_are_the_same_either_way():
    torch.manual_seed(1)
    model = create_model("deepdft", {"steps": 3, "channels": 5}, [8]).double()
    ours = tabulate(model.probe_filter_network, 4.0, dtype=torch.float64)
    plain = tabulate(model.probe_filters, 4.0, dtype=torch.float64)
    torch.testing.assert_close(ours.entries, plain.entries, rtol=1e-11, atol=1e-12)
    assert torch.equal(model.probe_table().entries, tabulate(
        model.probe_filter_network, 4.0, 0.04, dtype=torch.float64
    ).entries)  # fmt: skip
    weights = torch.randn_like(ours.entries)
    gradients = [
        torch.autograd.grad((table.entries * weights).sum(), list(
            model.probe_filter_network.parameters()
        ))
        for table in (ours, plain)
    ]  # fmt: skip
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_prediction_does_not_import_a_compiler():
    import subprocess
    import sys

    script = (
        "import sys; from ase import Atoms; from deepdft.architectures import create_model;"
        "from deepdft.prediction.engine import ProbeEngine;"
        "network = create_model('deepdft', {'steps': 1, 'channels': 4}, [1]).eval();"
        "ProbeEngine(network, None, Atoms('H'), 1).at([[0.0, 0.0, 0.5]]);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("architecture", ["released-schnet", "released-painn"])
def test_derivatives_of_the_released_filters(architecture):
    torch.manual_seed(0)
    model = create_model(architecture, {"steps": 2, "channels": 6, "cutoff": 3.0}, [8]).double()
    networks = {
        "released-schnet": lambda: model.probe_messages.filters,
        "released-painn": lambda: model.probe_filter_layer,
    }
    filters = networks[architecture]()
    assert isinstance(filters, WithDerivatives)
    # Among them arguments on both sides of where the sine's series ends.
    near = torch.linspace(0.0, 0.12, 40)
    distances = torch.cat((near, torch.rand(40) * 2.9)).double().requires_grad_()
    found = filters.derivatives(distances)
    expected = filters(distances)
    assert expected.shape == found[0].shape
    torch.testing.assert_close(found[0], expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    (slope,) = torch.autograd.grad((expected * weights).sum(), distances, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), distances)
    assert curvature.abs().max() > 1.0
    for order, derivative in ((1, slope), (2, curvature)):
        ours = (found[order] * weights).sum(dim=(0, 2))
        torch.testing.assert_close(ours, derivative, rtol=1e-8, atol=1e-8)


def test_the_sinc_basis_is_the_sine_over_distance():
    basis = SincBasis(4.0, 30)
    distances = torch.linspace(0.001, 4.0, 200, dtype=torch.float64)
    n = torch.arange(1, 31, dtype=torch.float64)
    expected = torch.sin(n * torch.pi * distances[:, None] / 4.0) / distances[:, None]
    torch.testing.assert_close(basis(distances), expected, rtol=1e-12, atol=1e-12)
    at_zero = basis(torch.zeros(1, dtype=torch.float64))[0]
    torch.testing.assert_close(at_zero, n * torch.pi / 4.0, rtol=1e-14, atol=0)
    assert cosine_cutoff(torch.tensor([0.0, 2.0, 4.0, 5.0]), 4.0).tolist() == pytest.approx(
        [1.0, 0.5, 0.0, 0.0], abs=1e-7
    )
