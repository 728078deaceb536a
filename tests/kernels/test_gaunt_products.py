"""Products of spherical tensors: the compiled loop does what the coefficients say."""

from __future__ import annotations

import pytest
import torch

from deepdft.kernels.angular.gaunt_products import GauntTerms, gaunt_coefficients
from deepdft.kernels.autograd.gaunt_products import gaunt_product, plain_gaunt_product

LARGEST = 2


def factors(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tensors (atoms, M, channels) of which the second is not contiguous, as in a network."""
    generator = torch.Generator().manual_seed(0)
    size = (LARGEST + 1) ** 2
    left = torch.randn(3, size, 5, generator=generator, dtype=torch.float64)
    right = torch.randn(size, 3, 5, generator=generator, dtype=torch.float64).transpose(0, 1)
    return left.to(dtype), right.to(dtype)


@pytest.mark.parametrize("form", [gaunt_product, plain_gaunt_product])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_products_are_sums_over_coefficients(form, dtype, bound) -> None:
    coefficients = gaunt_coefficients(LARGEST)
    left, right = factors(dtype)
    expected = torch.einsum(
        "ijk,nic,njc->nkc", torch.from_numpy(coefficients), left.double(), right.double()
    )
    found = form(left, right, GauntTerms(coefficients))
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=bound * float(expected.abs().max())
    )


def test_gradients_of_first_and_second_order() -> None:
    terms = GauntTerms(gaunt_coefficients(LARGEST))
    inputs = [x[:2, :, :2].clone().requires_grad_() for x in factors()]
    assert torch.autograd.gradcheck(lambda a, b: gaunt_product(a, b, terms), inputs)
    assert torch.autograd.gradgradcheck(lambda a, b: gaunt_product(a, b, terms), inputs)
    square = inputs[:1]
    assert torch.autograd.gradgradcheck(lambda a: gaunt_product(a, a, terms), square)
