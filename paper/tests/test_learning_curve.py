"""The learning curve: what it says of the bundled model."""

from __future__ import annotations

import pytest

from deepdft_paper.reproduce import learning_curve
from deepdft_paper.reproduce.learning_curve import shipped_model


def card_of(*steps):
    """The card of a model whose trainings followed each other, the last one first."""
    training = {"structures": 7, "configuration": {"trainer": {"max_steps": steps[0]}}}
    if len(steps) > 1:
        earlier = card_of(*steps[1:])["training"]
        training["started_from"] = {"model": "before", "training": earlier}
    return {
        "training": training,
        "test": {"eps_mae_percent": 0.2, "standard_error_percent": 0.01},
    }


@pytest.mark.parametrize("steps", [(100,), (100, 20), (100, 20, 3)])
def test_a_model_s_steps_include_those_of_the_trainings_it_went_on_from(monkeypatch, steps):
    monkeypatch.setattr(
        learning_curve, "read_description", lambda folder: {"card": card_of(*steps)}
    )
    assert shipped_model().steps == sum(steps)


def test_before_the_test_part_is_measured_validation_stands_for_it(monkeypatch):
    card = card_of(100)
    card["validation"] = {"eps_mae_percent": 0.3, "step": 100}
    monkeypatch.setattr(learning_curve, "read_description", lambda folder: {"card": card})
    assert (shipped_model().part, shipped_model().error) == ("test", 0.2)
    del card["test"]
    assert (shipped_model().part, shipped_model().error) == ("validation", 0.3)
