"""Filters' own derivatives against those of forward-mode differentiation."""

from __future__ import annotations

import pytest
import torch

from deepdft.kernels.tables import WithDerivatives, tabulate
from deepdft.models import create_model


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
        "import sys; from ase import Atoms; from deepdft.models import create_model;"
        "from deepdft.prediction.engine import ProbeEngine;"
        "network = create_model('deepdft', {'steps': 1, 'channels': 4}, [1]).eval();"
        "ProbeEngine(network, None, Atoms('H'), 1).density_at([[0.0, 0.0, 0.5]]);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
