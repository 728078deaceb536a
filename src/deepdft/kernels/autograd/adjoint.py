"""The adjoint of a compiled operation, where it has to be differentiable itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiable_adjoint(
    plain: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    gradient: Tensor,
) -> list[Tensor | None]:
    """Return the gradients to the inputs of an operation, from its form in plain torch.

    For the `backward` of an autograd function; where gradients are recorded (create_graph), the
    result can be differentiated again.

    Args:
        plain: the operation, of all inputs.
        inputs: what it was applied to.
        needed: which inputs need a gradient.
        gradient: of the result.

    Returns:
        One gradient for every input, None where none is needed.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        if create_graph:
            # One input may depend on another: views keep the partial derivatives apart.
            inputs = [x.view_as(x) for x in inputs]
        else:
            inputs = [x.detach().requires_grad_(n) for x, n in zip(inputs, needed, strict=True)]
        wanted = [x for x, n in zip(inputs, needed, strict=True) if n]
        found = iter(
            torch.autograd.grad(plain(*inputs), wanted, gradient, create_graph=create_graph)
        )
    return [next(found) if n else None for n in needed]
