"""Derivatives of any architecture's density with respect to the probe's position.

At a nucleus n a density that depends on distances is ``A(r) + |r - R_n| B(r)`` with smooth A and B:
unless B(R_n) is zero it has a cusp there, where it has no gradient. What is returned on a nucleus
are the derivatives of A: the mean over all directions, without what diverges as the nucleus is
approached. The atom's own distance d_n then adds nothing to the gradient, and the second derivative
by d_n to the diagonal of the Hessian.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.geometry.neighbours import ON_NUCLEUS
from deepdft.kernels.autograd.derivative_messages import contracted, slope_messages
from deepdft.kernels.autograd.messages import filtered_messages, interpolated_messages
from deepdft.kernels.autograd.tables import RadialTable

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel


class ProbeDerivatives(NamedTuple):
    """Density, (probes,) e/Å^3; gradient, (probes, 3) e/Å^4; Hessian, (probes, 3, 3) e/Å^5."""

    density: Tensor
    gradient: Tensor
    hessian: Tensor | None


def in_double_precision(model: DensityModel) -> DensityModel:
    """Return a copy of a model whose second derivatives can be trusted.

    Those of a table's interpolant are differences of large numbers: in float32 they would lose
    1e-3 of the filter's amplitude, by Å^2.
    """
    return copy.deepcopy(model).double().requires_grad_(False)


def differentiate_positions(
    model: DensityModel, senders: Tensor, edges: Edges, table: RadialTable | None, order: int
) -> ProbeDerivatives:
    """Return the derivatives of `model.density`, by reverse differentiation of all of it.

    Args:
        model: the model.
        senders: (steps, atoms, channels), what `model.encode` returned.
        edges: from atoms to probes, with vectors.
        table: what `model.probe_table` returned, or None for direct filters.
        order: 1, or 2 for the Hessian as well.
    """
    assert edges.vectors is not None
    on_nucleus = edges.distances < ON_NUCLEUS
    with torch.enable_grad():
        moved = edges.vectors.new_zeros((edges.n_receivers, 3), requires_grad=True)
        stretched = torch.zeros_like(edges.distances, requires_grad=True)
        vectors = edges.vectors + moved[edges.receivers]
        # The length of nothing has no derivative.
        lengths = torch.linalg.norm(
            torch.where(on_nucleus[:, None], torch.ones_like(vectors), vectors), dim=1
        )
        distances = torch.where(on_nucleus, edges.distances, lengths) + stretched
        density = model.density(
            senders, replace(edges, distances=distances, vectors=vectors), table
        )
        gradient, slopes = torch.autograd.grad(
            density.sum(), (moved, stretched), create_graph=order == 2
        )
        if order == 1:
            return ProbeDerivatives(density.detach(), gradient, None)
        rows = [
            torch.autograd.grad(gradient[:, i].sum(), moved, retain_graph=True)[0] for i in range(3)
        ]
        hessian = torch.stack(rows, dim=1)
        if bool(on_nucleus.any()):
            (curvatures,) = torch.autograd.grad(slopes[on_nucleus].sum(), stretched)
            hessian = hessian + _isotropic(torch.where(on_nucleus, curvatures, 0.0), edges)
    return ProbeDerivatives(density.detach(), gradient.detach(), _symmetric(hessian))


def differentiate_messages(
    model: DensityModel, senders: Tensor, edges: Edges, table: RadialTable, order: int
) -> ProbeDerivatives:
    """Return the derivatives of ``readout(messages)`` from the tabulated filters' own derivatives.

    With u_e the unit vector of edge e, from atom to probe,

        gradient = sum_e a_e u_e                                       a_e = d(rho)/d(d_e)
        Hessian = sum_ef c_ef u_e u_f^T + sum_e (a_e / d_e) (1 - u_e u_e^T)     c_ef = d(a_e)/d(d_f)

    Only `model.readout` is differentiated in reverse. Arguments as of `differentiate_positions`.
    """
    assert edges.vectors is not None
    on_nucleus = edges.distances < ON_NUCLEUS
    lengths = torch.where(on_nucleus, 1.0, edges.distances)
    directions = torch.where(on_nucleus[:, None], 0.0, edges.vectors / lengths[:, None])
    weights = directions.T
    if order == 2 and bool(on_nucleus.any()):
        # A fourth direction: along the own distance of the nucleus that the probe is on.
        weights = torch.cat((weights, on_nucleus.to(weights)[None]))
    density, first, second = _by_distances(
        model, senders, edges, table, weights if order == 2 else None
    )
    gradient = _summed(first[:, None] * directions, edges)
    if second is None:
        return ProbeDerivatives(density, gradient, None)
    across = torch.where(on_nucleus, 0.0, first / lengths)
    along = second[:3].T - across[:, None] * directions
    if len(weights) == 4:
        across = across + second[3] * weights[3]
    hessian = _summed(along[:, :, None] * directions[:, None, :], edges)
    return ProbeDerivatives(density, gradient, _symmetric(hessian + _isotropic(across, edges)))


def _by_distances(
    model: DensityModel, senders: Tensor, edges: Edges, table: RadialTable, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the density, a_e, and ``sum_f c_ef w_kf`` for weights w (k, edges), if given."""
    sum_messages = filtered_messages if senders.device.type == "cpu" else interpolated_messages
    with torch.no_grad():
        messages = sum_messages(table, senders, edges)
    with torch.enable_grad():
        messages.requires_grad_()
        density = model.readout(messages)
        (adjoint,) = torch.autograd.grad(density.sum(), messages, create_graph=weights is not None)
    first = contracted(table, senders, edges, adjoint.detach(), 1)
    if weights is None:
        return density.detach(), first, None
    curved = contracted(table, senders, edges, adjoint.detach(), 2)
    second = []
    for weight, moved in zip(weights, slope_messages(table, senders, edges, weights), strict=True):
        bent = curved * weight
        if adjoint.requires_grad:  # not if the readout is linear
            (change,) = torch.autograd.grad((adjoint * moved).sum(), messages, retain_graph=True)
            bent = bent + contracted(table, senders, edges, change, 1)
        second.append(bent)
    return density.detach(), first, torch.stack(second)


def _summed(values: Tensor, edges: Edges) -> Tensor:
    empty = values.new_zeros((edges.n_receivers, *values.shape[1:]))
    return empty.index_add(0, edges.receivers, values)


def _isotropic(values: Tensor, edges: Edges) -> Tensor:
    """Sum multiples (edges,) of the unit matrix, (receivers, 3, 3)."""
    return _summed(values, edges)[:, None, None] * torch.eye(3).to(values)


def _symmetric(hessian: Tensor) -> Tensor:
    return 0.5 * (hessian + hessian.transpose(1, 2))
