"""Values of the functions of shells at a tile of points, with their derivatives.

A function is ``S(r) sum_k c_k g_k(r)``, with a polynomial S and Gaussians g_k, which are given.
With ``R_n = sum_k c_k (-2 a_k)^n g_k`` its derivatives are ``S_i R_0 + S R_1 r_i`` and
``S_ij R_0 + (S_i r_j + S_j r_i) R_1 + S (R_2 r_i r_j + R_1 delta_ij)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from deepdft.arrays import Array
from deepdft.compilation import FUSED, inner

TILE_POINTS = 64
"""Points treated together: loops over them become vector instructions."""


class ShellTables(NamedTuple):
    """Groups of shells of one atom whose exponents are among the same few.

    Attributes:
        exponents: (exponents,) of all groups, one group after the other, Å^-2, descending.
        first_exponent: (groups + 1,) first exponent of each group.
        first_radial: (groups + 1,) first radial function of each group.
        kinds: (radials,) kind of polynomials of each radial function; equal ones in succession.
        first_term: (radials + 1,) first term of each radial function.
        terms: (terms,) exponent of each term, counted from the group's first.
        coefficients: (terms,) its coefficient.
        degrees: (groups,) largest degree of the group's polynomials.
        functions: (groups,) number of functions.
        reach: (groups,) distance beyond which every function counts as zero, Å.
    """

    exponents: Array
    first_exponent: Array
    first_radial: Array
    kinds: Array
    first_term: Array
    terms: Array
    coefficients: Array
    degrees: Array
    functions: Array
    reach: Array


@inner(fast=FUSED, counts_arrays=False)
def fill_functions(
    group: int, shells: Any, polynomials: Any, shift: Any, gaussians: Any, scales: Any,
    components: int, monomials: Any, angular: Any, radial: Any, out: Any, row: int, add: bool,
) -> None:  # fmt: skip
    """Evaluate the functions of a group at displacements from its atom.

    Args:
        group: which group.
        shells: `ShellTables`.
        polynomials: `Polynomials`.
        shift: (3, TILE_POINTS) displacements, Å.
        gaussians: (k, TILE_POINTS) values of the group's exponentials...
        scales: (k,) ... to be multiplied by these; those of a zero are left out.
        components: 1, 4 or 10.
        monomials, angular, radial: scratch, (monomials, TILE_POINTS), (functions of a kind, 10,
            TILE_POINTS) and (3, TILE_POINTS).
        out: (components, rows, TILE_POINTS); functions go to rows from `row` on.
        row: first row.
        add: whether they are added to what is there.
    """
    _fill_monomials(polynomials, polynomials.degrees[shells.degrees[group]], shift, monomials)
    last = -1
    for n in range(shells.first_radial[group], shells.first_radial[group + 1]):
        kind = shells.kinds[n]
        first = polynomials.first[kind]
        count = polynomials.first[kind + 1] - first
        if kind != last:
            for f in range(count):
                for c in range(components):
                    _fill_polynomial(polynomials, 10 * (first + f) + c, monomials, angular[f, c])
            last = kind
        _fill_radial(shells, n, group, gaussians, scales, components, radial)
        for f in range(count):
            _store(angular[f, 0], radial[0], out[0, row + f], add)
            if components > 1:
                _store_gradient(angular[f], radial, shift, out, row + f, add)
            if components > 4:
                _store_hessian(angular[f], radial, shift, out, row + f, add)
        row += count


@inner(fast=FUSED, counts_arrays=False)
def _fill_monomials(polynomials: Any, count: int, shift: Any, out: Any) -> None:
    for t in range(TILE_POINTS):
        out[0, t] = 1
    for i in range(1, count):
        parent, factor, target = out[polynomials.parents[i]], shift[polynomials.axes[i]], out[i]
        for t in range(TILE_POINTS):
            target[t] = parent[t] * factor[t]


@inner(fast=FUSED, counts_arrays=False)
def _fill_polynomial(polynomials: Any, number: int, monomials: Any, out: Any) -> None:
    first, last = polynomials.terms[number], polynomials.terms[number + 1]
    if first == last:
        for t in range(TILE_POINTS):
            out[t] = 0
        return
    weight, values = polynomials.weights[first], monomials[polynomials.places[first]]
    for t in range(TILE_POINTS):
        out[t] = weight * values[t]
    for term in range(first + 1, last):
        weight, values = polynomials.weights[term], monomials[polynomials.places[term]]
        for t in range(TILE_POINTS):
            out[t] += weight * values[t]


@inner(fast=FUSED, counts_arrays=False)
def _fill_radial(
    shells: Any, number: int, group: int, gaussians: Any, scales: Any, components: int, out: Any
) -> None:
    for n in range(3 if components > 4 else 2 if components > 1 else 1):
        for t in range(TILE_POINTS):
            out[n, t] = 0
    first = shells.first_exponent[group]
    for term in range(shells.first_term[number], shells.first_term[number + 1]):
        k = shells.terms[term]
        if scales[k] == 0:
            continue
        weight = shells.coefficients[term] * scales[k]
        values = gaussians[k]
        slope = -(shells.exponents[first + k] + shells.exponents[first + k])
        for t in range(TILE_POINTS):
            out[0, t] += weight * values[t]
        if components > 1:
            weight *= slope
            for t in range(TILE_POINTS):
                out[1, t] += weight * values[t]
        if components > 4:
            weight *= slope
            for t in range(TILE_POINTS):
                out[2, t] += weight * values[t]


@inner(fast=FUSED, counts_arrays=False)
def _store(polynomial: Any, radial: Any, out: Any, add: bool) -> None:
    if add:
        for t in range(TILE_POINTS):
            out[t] += polynomial[t] * radial[t]
    else:
        for t in range(TILE_POINTS):
            out[t] = polynomial[t] * radial[t]


@inner(fast=FUSED, counts_arrays=False)
def _store_gradient(s: Any, radial: Any, shift: Any, out: Any, row: int, add: bool) -> None:
    for i in range(3):
        derivative, along, target = s[1 + i], shift[i], out[1 + i, row]
        if not add:
            for t in range(TILE_POINTS):
                target[t] = 0
        for t in range(TILE_POINTS):
            target[t] += derivative[t] * radial[0, t] + s[0, t] * (radial[1, t] * along[t])


@inner(fast=FUSED, counts_arrays=False)
def _store_hessian(s: Any, radial: Any, shift: Any, out: Any, row: int, add: bool) -> None:
    component = 4
    for i in range(3):
        for j in range(i, 3):
            second, one, other = s[component], s[1 + i], s[1 + j]
            along, across, target = shift[i], shift[j], out[component, row]
            if not add:
                for t in range(TILE_POINTS):
                    target[t] = 0
            for t in range(TILE_POINTS):
                mixed = one[t] * across[t] + other[t] * along[t]
                bent = s[0, t] * (radial[2, t] * along[t] * across[t])
                target[t] += second[t] * radial[0, t] + mixed * radial[1, t] + bent
            if i == j:
                for t in range(TILE_POINTS):
                    target[t] += s[0, t] * radial[1, t]
            component += 1
