"""Many structures, of which some cannot be treated."""

from __future__ import annotations

from pathlib import Path

import pytest

BATCH = Path(__file__).parent / "batch.xyz"


def test_everything_is_checked_before_anything_is_computed(run, small_model):
    result = run("predict", BATCH, "-m", small_model, "-o", "bo/", "--spacing", 0.5)
    assert result.code == 2
    assert "batch_1: CH3 has an odd number of electrons" in result.error
    assert list(Path("bo").iterdir()) == []


def test_the_others_are_predicted_and_what_was_skipped_is_listed(run, small_model):
    result = run("predict", BATCH, "-m", small_model, "-o", "bo/", "--spacing", 0.5, "--skip")
    assert result.code == 1
    assert "skipped: batch_1: CH3 has an odd number of electrons" in result.output
    assert sorted(p.name for p in Path("bo").iterdir()) == ["batch_0.cube", "batch_2.cube"]


def test_without_anything_to_skip_the_exit_code_is_0(run, small_model):
    Path("w.xyz").write_text("2\nhydrogen\nH 0 0 0\nH 0 0 0.74\n")
    result = run("predict", "w.xyz", "-m", small_model, "-o", "w.cube", "--spacing", 0.5, "--skip")
    assert result.code == 0, result.error
    assert "skipped" not in result.output


@pytest.mark.parametrize("model", [(), ("-m", "ethylene-carbonate")])
def test_files_that_cannot_be_read_are_skipped_too(run, model):
    Path("broken.xyz").write_text("3\n\nO 0 0\n")
    Path("other.xyz").write_text("1\n\nAu 0 0 0\n")
    Path("h2.xyz").write_text("2\nhydrogen\nH 0 0 0\nH 0 0 0.74\n")
    files = ("broken.xyz", "other.xyz", "missing.xyz", "h2.xyz")
    result = run("predict", *files, *model, "-o", "out/", "--spacing", 0.5, "--skip")
    assert result.code == 1, result.error
    for name in ("broken", "other", "missing.xyz"):
        assert f"skipped: {name}" in result.output
    assert Path("out/h2.cube").exists()
    only = run("predict", *files[:3], *model, "-o", "out2/", "--skip")
    assert only.code == 1
    assert only.output.count("skipped") == 3
