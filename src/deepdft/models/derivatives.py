"""Derivatives of any architecture's density with respect to the probe's position.

A probe's density is a function of the distances d_e of its edges, and ``d(d_e)/dr`` is the unit
vector u_e from atom to probe, so that

    gradient = sum_e a_e u_e                                        a_e = d(rho)/d(d_e)
    Hessian  = sum_ef c_ef u_e u_f^T + sum_e (a_e / d_e) (1 - u_e u_e^T)     c_ef = d(a_e)/d(d_f)

At a nucleus n a density of this form is ``A(r) + |r - R_n| B(r)`` with smooth A and B: unless
B(R_n) is zero it has a cusp there, where it has no gradient. What is returned on a nucleus are the
derivatives of A, the mean over all directions without what diverges as the nucleus is approached:
the atom's own distance adds nothing to the gradient, and ``c_nn`` to the diagonal of the Hessian.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepdft.graph import Edges
from deepdft.kernels.derivative_messages import contracted, slope_messages
from deepdft.kernels.messages import filtered_messages, interpolated_messages
from deepdft.kernels.tables import RadialTable

if TYPE_CHECKING:
    from deepdft.models.base import DensityModel


class ProbeDerivatives(NamedTuple):
    """Density, (probes,) e/Å^3; gradient, (probes, 3) e/Å^4; Hessian, (probes, 3, 3) e/Å^5."""

    density: Tensor
    gradient: Tensor
    hessian: Tensor | None


class _DistanceDerivatives(NamedTuple):
    """How densities depend on the distances of their edges.

    Attributes:
        density: (probes,) e/Å^3.
        first: (edges,) derivatives a_e.
        second: (k, edges) ``sum_f c_ef w_kf`` for k weights of the edges, or None.
    """

    density: Tensor
    first: Tensor
    second: Tensor | None


def probe_derivatives(
    model: DensityModel, senders: Tensor, edges: Edges, directions: Tensor,
    table: RadialTable | None, order: int,
) -> ProbeDerivatives:  # fmt: skip
    """Return the derivatives of a model's density.

    Args:
        model: the model.
        senders: (steps, atoms, channels), what `model.encode` returned.
        edges: from atoms to probes; every probe has one.
        directions: (edges, 3) unit vectors from atom to probe, zero for a probe on the nucleus.
        table: what `derivative_table` returned, or None for `model.filters` "direct".
        order: 1, or 2 for the Hessian as well.
    """
    weights = directions.T.contiguous()
    on_nucleus = (directions == 0.0).all(dim=1)
    if order == 2 and bool(on_nucleus.any()):
        # A fourth direction: along the own distance of the nucleus that the probe is on.
        weights = torch.cat((weights, on_nucleus.to(weights)[None]))
    wanted = weights if order == 2 else None
    if table is None:
        found = _by_differentiation(model, senders, edges, wanted)
    else:
        found = _by_messages(model, senders, edges, table, wanted)

    def summed(values: Tensor) -> Tensor:
        empty = values.new_zeros((edges.n_receivers, *values.shape[1:]))
        return empty.index_add(0, edges.receivers, values)

    gradient = summed(found.first[:, None] * directions)
    if found.second is None:
        return ProbeDerivatives(found.density, gradient, None)
    along = found.second[:3].T[:, :, None] * directions[:, None, :]
    distances = edges.distances.to(directions)
    across = torch.where(on_nucleus, 0.0, found.first / torch.where(on_nucleus, 1.0, distances))
    along = along - across[:, None, None] * directions[:, :, None] * directions[:, None, :]
    if len(weights) == 4:
        across = across + found.second[3] * weights[3]
    hessian = summed(along + across[:, None, None] * torch.eye(3).to(along))
    return ProbeDerivatives(found.density, gradient, 0.5 * (hessian + hessian.transpose(1, 2)))


def derivative_table(model: DensityModel) -> RadialTable:
    """Return the probe filters as a float64 table.

    Second derivatives of the interpolant are differences of large numbers: in float32 they would
    lose 1e-3 of the filter's amplitude, by Å^2.
    """
    with torch.no_grad():
        double = copy.deepcopy(model).double()
        return double.probe_table()


def _by_messages(
    model: DensityModel, senders: Tensor, edges: Edges, table: RadialTable, weights: Tensor | None
) -> _DistanceDerivatives:
    """From the filters' own derivatives, and those of the readout by reverse differentiation."""
    # The filters and sums over edges in float64, the readout in the network's own type.
    sum_messages = filtered_messages if senders.device.type == "cpu" else interpolated_messages
    with torch.no_grad():
        messages = sum_messages(table, senders, edges).to(senders.dtype)
    with torch.enable_grad():
        messages.requires_grad_()
        density = model.readout(messages)
        (adjoint,) = torch.autograd.grad(density.sum(), messages, create_graph=weights is not None)
    first = contracted(table, senders, edges, adjoint.detach(), 1)
    if weights is None:
        return _DistanceDerivatives(density.detach(), first, None)
    curved = contracted(table, senders, edges, adjoint.detach(), 2)
    second = []
    for weight, moved in zip(weights, slope_messages(table, senders, edges, weights), strict=True):
        bent = curved * weight
        change = _derivative_along(adjoint, moved.to(adjoint), messages)
        if change is not None:
            bent = bent + contracted(table, senders, edges, change, 1)
        second.append(bent)
    return _DistanceDerivatives(density.detach(), first, torch.stack(second))


def _derivative_along(adjoint: Tensor, direction: Tensor, messages: Tensor) -> Tensor | None:
    """Return the derivative of ``adjoint . direction`` by messages; None for a linear readout."""
    if not adjoint.requires_grad:
        return None
    (found,) = torch.autograd.grad(
        (adjoint * direction).sum(), messages, retain_graph=True, allow_unused=True
    )
    result: Tensor | None = found
    return result


def _by_differentiation(
    model: DensityModel, senders: Tensor, edges: Edges, weights: Tensor | None
) -> _DistanceDerivatives:
    """By reverse differentiation of the density with respect to distances."""
    with torch.enable_grad():
        distances = edges.distances.detach().to(senders.dtype, copy=True).requires_grad_()
        density = model.density(senders.clone(), edges.with_distances(distances))
        (first,) = torch.autograd.grad(density.sum(), distances, create_graph=weights is not None)
        if weights is None:
            return _DistanceDerivatives(density.detach(), first, None)
        second = [
            torch.autograd.grad((first * weight).sum(), distances, retain_graph=True)[0]
            for weight in weights
        ]
    return _DistanceDerivatives(density.detach(), first.detach(), torch.stack(second))
