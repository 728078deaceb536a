"""The quintic Hermite polynomials that tables are interpolated with, and their knots."""

from __future__ import annotations

DEFAULT_SPACING = 0.02
"""Distance between knots, Å. For Gaussians of width 0.1 Å the error is about 2e-8 of
the amplitude."""

# Row r holds the coefficients of u^0 ... u^5 of one basis polynomial, in the order of the table's
# entries: value, slope, curvature at the left knot, then the same at the right knot.
HERMITE = (
    (1.0, 0.0, 0.0, -10.0, 15.0, -6.0),
    (0.0, 1.0, 0.0, -6.0, 8.0, -3.0),
    (0.0, 0.0, 0.5, -1.5, 1.5, -0.5),
    (0.0, 0.0, 0.0, 10.0, -15.0, 6.0),
    (0.0, 0.0, 0.0, -4.0, 7.0, -3.0),
    (0.0, 0.0, 0.0, 0.5, -1.0, 0.5),
)


def knot_count(cutoff: float, spacing: float) -> tuple[int, float]:
    """Return the number of knots on [0, cutoff] and the spacing (at most `spacing`) that fits."""
    intervals = max(1, round(cutoff / spacing + 0.499999))
    return intervals + 1, cutoff / intervals
