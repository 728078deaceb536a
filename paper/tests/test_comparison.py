"""The comparison of architectures: choices on validation alone, resumable, honest tables."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.small_data import write_archive

from deepdft.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "paper" / "comparison"
RELEASED = ROOT / "tests" / "architectures" / "released" / "painn"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def modules():
    """The benchmark's modules, which are scripts beside each other."""
    paths = [str(FOLDER), str(ROOT / "benchmarks")]
    sys.path[:0] = paths
    import compare
    import report
    import runs

    yield {"compare": compare, "report": report, "runs": runs}
    for path in paths:
        sys.path.remove(path)
    for name in ("charge3net", "compare", "plan", "report", "reporting", "runs"):
        sys.modules.pop(name, None)


ROWS = {
    "common": {
        "sampling": {"structures": 1, "probes": 20, "importance": 0.5},
        "optimizer": {"loss": "eps_mae"},
    },
    "rows": {
        "small": {
            "model": {"options": {"steps": 1, "channels": 4}},
            # The first one moves nothing.
            "rates": [1e-9, 3e-3],
        },
        "painn": {
            "model": {
                "architecture": "released-painn",
                "baseline": "atoms",
                "options": {"steps": 1, "channels": 4},
            },
            "rates": [1e-3],
        },
    },
}


@pytest.fixture(scope="module")
def comparison(modules, tmp_path_factory):
    """A finished comparison: its folder, its arguments and the text it printed."""
    folder = tmp_path_factory.mktemp("accuracy")
    data = write_archive(folder / "six.npz", ["H2O", "CO", "CH4", "H2O", "CO", "CH4"])
    split = {"train": [10, 11, 12], "validation": [13], "test": [14, 15]}
    (folder / "split.json").write_text(json.dumps(split))
    (folder / "rows.yaml").write_text(yaml.safe_dump(ROWS, sort_keys=False))
    arguments = [
        str(data), "--split", str(folder / "split.json"), "--output", str(folder / "out"),
        "--file", str(folder / "rows.yaml"), "--sizes", "3", "--steps", "40", "--seeds", "0",
        "--threads", "1", "--validation-probes", "40", "--quick", "300",
        # Far from what 40 steps take: runs of about the equal time count for both.
        "--minutes", "0.0005", "--also", f"released={RELEASED}",
    ]  # fmt: skip
    options = modules["compare"].parse_arguments(arguments)
    return folder, arguments, modules["compare"].Comparison(options).run()


def test_every_row_is_trained_and_tested_at_equal_steps_and_at_equal_time(comparison, modules):
    folder, _, text = comparison
    assert (folder / "out" / "tables.md").read_text() == text
    assert "## 3 training structures, 40 steps" in text
    assert "## 3 training structures, 0.0005 minutes" in text
    tables = json.loads((folder / "out" / "tables.json").read_text())["tables"]
    assert len(tables) == 2
    for entries in tables.values():
        assert [e["row"] for e in entries] == ["superposed atoms", "released", "small", "painn"]
        for item in entries:
            assert item["structures"] == 2
            errors = {k: v["value"] for k, v in item["eps_mae_percent"].items()}
            assert 0 < errors["median"] <= errors["percentile_95"] <= errors["max"]
    by_steps, by_time = tables.values()
    assert [item["steps"] for item in by_steps[2:]] == [40.0, 40.0]
    for steps, time in zip(by_steps[2:], by_time[2:], strict=True):
        expected = max(1, round(0.03 * steps["steps"] / steps["seconds"]))
        about = abs(steps["seconds"] / 0.03 - 1.0) <= modules["compare"].ABOUT
        assert time["steps"] == (steps["steps"] if about else expected)
        assert steps["probes_per_second"] == pytest.approx(40 * 20 / steps["seconds"])


def test_the_learning_rate_is_that_of_the_best_validation(comparison):
    folder, _, _ = comparison
    records = [
        json.loads(path.read_text())
        for path in (folder / "out" / "small").glob("steps_*/training.json")
    ]
    assert len(records) == 2
    best = min(records, key=lambda record: record["best"])
    tables = json.loads((folder / "out" / "tables.json").read_text())["tables"]
    assert {e["rate"] for t in tables.values() for e in t if e["row"] == "small"} == {best["rate"]}
    assert best["rate"] == 3e-3
    # Those that were not chosen have not been tested.
    tested = list((folder / "out" / "small").glob("*/test.json"))
    assert {path.parent.name for path in tested} == {
        f"{mode}_3_rate_0.003_seed_0" for mode in ("steps", "time")
    }


def test_rates_can_be_tried_in_shorter_runs(comparison, modules, monkeypatch):
    folder, arguments, _ = comparison
    compare = modules["compare"]
    options = compare.parse_arguments([*arguments, "--rate-steps", "3"])
    options.output = folder / "shorter"
    tried = []

    def best_of(run):
        tried.append((run.mode, run.steps, run.rate))
        return {"row": run.row, "rate": run.rate, "best": abs(run.rate - 1e-3), "diverged": False}

    comparison = compare.Comparison(options)
    monkeypatch.setattr(comparison, "_train", best_of)
    rates = comparison.rows.rates["small"]
    assert comparison.rate("small") == min(rates, key=lambda rate: abs(rate - 1e-3))
    assert tried == [("rate", 3, rate) for rate in rates]


def test_a_run_that_took_the_time_is_not_trained_again(comparison, modules):
    folder, arguments, _ = comparison
    compare = modules["compare"]
    options = compare.parse_arguments([*arguments, "--minutes", "10"])
    options.output = folder / "long"
    comparison = compare.Comparison(options)
    run = sys.modules["plan"].Run("small", "steps", 3, 3e-3, 0, 40)
    for minutes in (9.1, 10.9):
        assert comparison._as_long(run, {"steps": 40, "seconds": 60.0 * minutes}) == run
    longer = comparison._as_long(run, {"steps": 40, "seconds": 60.0 * 8.0})
    assert (longer.mode, longer.steps) == ("time", 50)
    # Once begun, a later measurement of the same speed does not change its length.
    assert comparison._as_long(run, {"steps": 40, "seconds": 60.0 * 5.0}) == longer


def test_a_training_by_other_code_is_shown_with_its_cost(comparison, modules, tmp_path):
    _, arguments, _ = comparison
    other = tmp_path / "other"
    shutil.copytree(RELEASED, other)
    cost = {"steps": 123, "seconds": 90.0, "probes_per_second": 456.0, "parameters": 7}
    (other / "training.json").write_text(json.dumps({**cost, "rate": 1e-4, "size": 3}))
    options = modules["compare"].parse_arguments([*arguments, "--also", f"theirs={other}"])
    text = modules["compare"].Comparison(options).run()
    row = next(line for line in text.splitlines() if line.startswith("| theirs"))
    assert "0.0001 | 7 | 123 | 456 | 1.5 |  |" in row
    assert "3 training structures; convergence not known" in row


def test_an_unfinished_comparison_can_be_reported(comparison, modules, tmp_path, capsys):
    folder, arguments, _ = comparison
    unfinished = tmp_path / "out"
    shutil.copytree(folder / "out", unfinished)
    (unfinished / "painn" / "steps_3_rate_0.001_seed_0" / "training.json").unlink()
    given = [*arguments, "--output", str(unfinished)]
    options = modules["compare"].parse_arguments([*given, "--report"])
    tables = modules["compare"].Comparison(options).run()
    assert "| small |" in tables
    assert "| painn |" not in tables
    assert "Left out, for it has not been trained: painn" in capsys.readouterr().out


def test_rates_can_be_taken_from_other_data(comparison, modules, tmp_path):
    folder, arguments, _ = comparison
    compare = modules["compare"]
    options = compare.parse_arguments([*arguments, "--rates-of", str(folder / "out")])
    assert compare.Comparison(options).rate("small") == 3e-3
    options.rates_of = tmp_path
    with pytest.raises(ConfigurationError, match="has no tables of a comparison"):
        compare.Comparison(options)


def test_rows_of_tables_made_before_are_added(comparison, modules, tmp_path):
    folder, arguments, _ = comparison
    compare = modules["compare"]
    without = [word for word in arguments if not word.startswith("released=") and word != "--also"]
    given = [*without, "--output", str(tmp_path / "out"), "--rows", "small", "--against", "small"]
    shutil.copytree(folder / "out" / "small", tmp_path / "out" / "small")
    options = compare.parse_arguments([*given, "--report", "--tables", str(folder / "out")])
    compare.Comparison(options).run()
    before, after = (
        list(json.loads((path / "tables.json").read_text())["tables"].values())
        for path in (folder / "out", tmp_path / "out")
    )
    for old, new in zip(before, after, strict=True):
        own = ["superposed atoms", "small"]
        added = [item["row"] for item in old if item["row"] not in own]
        assert "painn" in added
        assert [item["row"] for item in new] == own + added
        assert {item["row"]: item["errors"] for item in new} == {
            item["row"]: item["errors"] for item in old
        }
        # Compared with this comparison's row.
        assert next(item for item in new if item["row"] == "painn")["ratio"]["to"] == "small"
    options = compare.parse_arguments(
        [*given, "--report", "--tables", str(folder / "out"), "--limit", "1"]
    )
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(ConfigurationError, match="another test part; leave out --tables"):
        compare.Comparison(options).run()


def test_a_row_of_other_code_is_left_out_unless_the_code_is_given(comparison, modules, tmp_path):
    _, arguments, _ = comparison
    compare, rows = modules["compare"], str(FOLDER / "rows.yaml")
    options = compare.parse_arguments([*arguments, "--file", rows])
    assert "charge3net" in yaml.safe_load(Path(rows).read_text())["rows"]
    names = compare.Comparison(options).names
    assert "equivariant" in names
    assert "charge3net" not in names
    options.rows = ["charge3net"]
    with pytest.raises(ConfigurationError, match="'charge3net' needs --charge3net"):
        compare.Comparison(options)
    options.charge3net = tmp_path
    with pytest.raises(ConfigurationError, match="cannot be used as a clone of ChargE3Net"):
        compare.Comparison(options)


def test_a_row_that_fine_tunes_begins_with_the_model_given(comparison, modules, tmp_path):
    folder, arguments, _ = comparison
    compare = modules["compare"]
    small = ROWS["rows"]["small"]
    rows = {"common": ROWS["common"], "rows": {"tuned": {**small, "needs": "start"}}}
    rows["rows"]["tuned"]["rates"] = [1e-9]
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(rows))
    given = [*arguments, "--file", str(tmp_path / "rows.yaml"), "--output", str(tmp_path / "out")]
    assert compare.Comparison(compare.parse_arguments(given)).names == []
    start = folder / "out" / "small" / "steps_3_rate_0.003_seed_0"
    compare.Comparison(compare.parse_arguments([*given, "--start", str(start)])).run()
    before, after = (
        json.loads((path / "training.json").read_text())
        for path in (start, tmp_path / "out" / "tuned" / "steps_3_rate_1e-09_seed_0")
    )
    # The rate moves nothing, and validation is on the same points.
    assert after["best"] == before["best"]
    other = compare.parse_arguments([*given, "--start", str(start / "best")])
    with pytest.raises(ConfigurationError, match="give another --output, or the --start of"):
        compare.Comparison(other).run()


def test_the_same_command_does_nothing_twice(comparison, modules, monkeypatch):
    _, arguments, text = comparison

    def fail(*arguments, **options):
        raise AssertionError("something was done again")

    monkeypatch.setattr(modules["runs"], "train", fail)
    monkeypatch.setattr(modules["runs"], "evaluate", fail)
    options = modules["compare"].parse_arguments(arguments)
    assert modules["compare"].Comparison(options).run() == text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--steps", "41"], "holds a run of another configuration"),
        (["--quick", "301"], "was evaluated on other points"),
        (["--rows", "smal"], "There is no row 'smal'. Did you mean 'small'"),
        (["--also", "released"], "must be NAME=FOLDER"),
    ],
)
def test_other_settings_are_refused(comparison, modules, change, sentence):
    _, arguments, _ = comparison
    options = modules["compare"].parse_arguments([*arguments, *change])
    with pytest.raises(ConfigurationError) as caught:
        modules["compare"].Comparison(options).run()
    assert sentence in str(caught.value)


def test_an_interrupted_training_is_resumed(comparison, modules, tmp_path):
    folder, arguments, _ = comparison
    done = folder / "out" / "small" / "steps_3_rate_0.003_seed_0" / "training.json"
    expected = json.loads(done.read_text())
    done.unlink()  # As if stopped after the last step.
    options = modules["compare"].parse_arguments(arguments)
    modules["compare"].Comparison(options).run()
    found = json.loads(done.read_text())
    assert found["best"] == expected["best"]
    assert found["validation"] == expected["validation"]


def test_what_counts_as_converged(modules):
    fall = modules["runs"].fall_in_last_quarter
    steps = [25, 50, 75, 100]
    assert fall(list(zip(steps, [8.0, 4.0, 2.0, 1.0], strict=True)), 100) == 0.5
    assert fall(list(zip(steps, [8.0, 4.0, 2.0, 1.96], strict=True)), 100) == pytest.approx(0.02)
    # An error that rises has not fallen; the best so far counts, not the last.
    assert fall(list(zip(steps, [8.0, 1.0, 2.0, 3.0], strict=True)), 100) == 0.0
    assert fall([(100, 1.0)], 100) == float("inf")


def test_a_rate_that_diverges_is_not_chosen(modules):
    lost = {"row": "a", "rate": 1.0, "diverged": True, "best": float("inf")}
    records = [lost, *({**lost, "rate": r, "diverged": False, "best": 9.0 + r} for r in (0.3, 0.1))]
    assert modules["runs"].best_rate(records) == 0.1
    with pytest.raises(ConfigurationError, match="'a' diverged with every learning rate"):
        modules["runs"].best_rate([lost])


def test_a_row_that_still_falls_is_marked(modules):
    report = modules["report"]
    training = {
        "steps": 10, "seconds": 60.0, "probes_per_second": 5.0, "best": 1.0, "parameters": 3,
        "rate": 0.1, "size": 3, "converged": False, "fell_in_last_quarter": 0.3,
    }  # fmt: skip
    tests = [{"errors": {"a": 1.0, "b": 3.0}}, {"errors": {"b": 5.0, "a": 3.0}}]
    item = report.entry("row", tests, [training, {**training, "steps": 20, "converged": True}])
    assert item["eps_mae_percent"]["mean"]["value"] == 3.0
    assert item["eps_mae_percent"]["mean"]["standard_error"] == pytest.approx(1.0)
    assert item["eps_mae_percent"]["max"]["value"] == 4.0
    assert item["spread_of_seeds"] == pytest.approx(np.sqrt(2.0))
    assert item["steps"] == 15.0
    text = report.table("Title", [item], {"row": [0.1, 0.2, 0.3]})
    assert "not converged (− 30 %); rate at the end of those tried" in text
    converged = report.entry("row", tests, [{**training, "converged": True}])
    assert "converged" not in report.table("Title", [converged], {"row": [0.05, 0.1, 0.3]})


def test_errors_are_divided_by_those_of_one_row_structure_by_structure(modules):
    report = modules["report"]
    errors = np.random.default_rng(2).gamma(4.0, 0.2, 50)
    entries = [
        {"row": name, "errors": {str(i): factor * e for i, e in enumerate(errors)}}
        for name, factor in (("a", 3.0), ("b", 1.0))
    ]
    ratio = report.with_ratios(entries, "b")[0]["ratio"]
    assert ratio["value"] == pytest.approx(3.0)
    # However much molecules differ, all say three.
    assert ratio["standard_error"] == pytest.approx(0.0, abs=1e-12)
    assert report.with_ratios(entries, "c") == entries


def test_standard_errors(modules):
    errors = np.random.default_rng(1).gamma(4.0, 0.2, 400)
    found = modules["report"].statistics(errors)
    assert found["mean"]["standard_error"] == pytest.approx(errors.std(ddof=1) / 20.0)
    # Asymptotically sqrt(q (1 - q) / n) / f(x_q), the density f estimated from the sample.
    for name, quantile in (("median", 0.5), ("percentile_95", 0.95)):
        low, high = np.quantile(errors, [quantile - 0.03, quantile + 0.03])
        expected = np.sqrt(quantile * (1 - quantile) / 400) * (high - low) / 0.06
        assert found[name]["standard_error"] == pytest.approx(expected, rel=0.4)


def test_the_rows_that_come_with_it_are_configurations(modules):
    rows = modules["compare"].Rows(FOLDER / "rows.yaml")
    plan = sys.modules["plan"]
    settings = plan.Settings(("data",), "split.json", Path("out"), 20_000, 1)
    assert {"deepdft", "released-schnet", "released-painn", "equivariant"} <= set(rows.rows)
    from deepdft.architectures import create_model

    for name in rows.chosen(None):
        # Those that the file explains have fewer.
        expected = {"released-schnet": 2, "deepdft-atoms": 1, "released-painn-atoms": 1}
        assert len(rows.rates[name]) == expected.get(name, 3)
        config = rows.config(plan.Run(name, "steps", 400, rows.rates[name][0], 1, 20_000), settings)
        assert config.trainer.validation_interval == 1000
        assert config.data.max_train == 400
        assert config.optimizer.learning_rate == rows.rates[name][0]
        assert config.data.train_seed == 1
        create_model(config.model.architecture, config.model.options, [1, 6])
