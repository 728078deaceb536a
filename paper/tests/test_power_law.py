"""Fits recover laws that were put in, and their intervals mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from deepdft_paper.reproduce.power_law import bootstrapped, fit_power_law, seed_scatter

SIZES = (50, 100, 200, 400, 800)


def exact(scale: float, exponent: float, floor: float) -> dict[int, list[float]]:
    return {size: [scale * size**-exponent + floor] * 3 for size in SIZES}


def scattered(generator: np.random.Generator, scatter: float) -> dict[int, list[float]]:
    seeds = {50: 3, 100: 3, 200: 3, 400: 2, 800: 1}
    return {
        size: list(4.0 * size**-0.4 * np.exp(scatter * generator.standard_normal(count)))
        for size, count in seeds.items()
    }


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.1])
def test_a_known_law_is_recovered(exponent):
    law = fit_power_law(exact(5.0, exponent, 0.0))
    assert (law.scale, law.exponent, law.floor) == pytest.approx((5.0, exponent, 0.0))


@pytest.mark.parametrize(("exponent", "floor"), [(0.7, 0.2), (1.3, 0.05), (0.5, 0.0)])
def test_a_known_floor_is_recovered(exponent, floor):
    law = fit_power_law(exact(5.0, exponent, floor), floor=True)
    assert (law.scale, law.exponent) == pytest.approx((5.0, exponent), rel=2e-3)
    assert law.floor == pytest.approx(floor, abs=1e-3)
    assert float(law(1e9)) == pytest.approx(floor, abs=2e-3)


def test_a_curve_that_steepens_has_no_floor_below_zero():
    law = fit_power_law(exact(5.0, 0.2, -1.0), floor=True)
    assert law.floor == 0.0


def test_sizes_count_by_their_seeds():
    errors = {10: [1.0] * 50, 100: [0.1] * 50, 1000: [0.1]}
    assert fit_power_law(errors).exponent == pytest.approx(1.0, abs=0.06)
    assert fit_power_law({**errors, 1000: [0.1] * 50}).exponent == pytest.approx(0.5, abs=0.01)


def test_the_scatter_of_seeds_is_pooled():
    errors = {10: [1.0, np.e], 20: [1.0, 1.0, 1.0], 40: [3.0]}
    assert seed_scatter(errors) == pytest.approx(np.sqrt(0.5 / 3))
    assert seed_scatter({40: [3.0]}) is None


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(4)
    truth = 4.0 * 123_835**-0.4
    held, widths = 0, []
    for _ in range(30):
        fit = bootstrapped(scattered(generator, 0.04), (123_835,), draws=200)
        found = fit.predictions[123_835]
        held += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert held >= 25
    assert np.mean(widths) < 0.7 * truth


def test_too_few_sizes_are_refused():
    with pytest.raises(ValueError, match="do not determine"):
        fit_power_law({50: [1.0, 1.1]})
    with pytest.raises(ValueError, match="do not determine"):
        fit_power_law({50: [1.0], 100: [0.5]}, floor=True)
