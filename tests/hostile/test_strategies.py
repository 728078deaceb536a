"""Whatever hypothesis makes up: an answer or a sentence, never anything else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdft.errors import DeepDFTError
from deepdft.models.bundled import bundled_models
from deepdft.models.overview import ModelOverview
from deepdft.structures import read_structures
from deepdft.training.config import parse_config, read_config

quick = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**30, -1, 1e300, "../x", "H", "PBE", "nan"])
)  # fmt: skip
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)


@quick
@given(key=st.data(), value=documents)
def test_descriptions_of_models(key, value, tmp_path_factory) -> None:
    known = json.loads((bundled_models()["default"] / "model.json").read_text())
    chosen = key.draw(st.sampled_from(sorted(known)))
    inner = known[chosen]
    if isinstance(inner, dict) and inner and key.draw(st.booleans()):
        inner[key.draw(st.sampled_from(sorted(inner)))] = value
    else:
        known[chosen] = value
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.json").write_text(json.dumps(known))
    with contextlib.suppress(DeepDFTError):
        overview = ModelOverview.of_folder("m", folder)
        json.dumps(overview.as_dict())
        assert overview.charges
        assert overview.coverage.purpose


@quick
@given(values=st.dictionaries(
    st.sampled_from(["run_directory", "seed", "model", "data", "sampling", "optimizer", "trainer"]),
    documents,
))  # fmt: skip
def test_configurations(values) -> None:
    with contextlib.suppress(DeepDFTError):
        parse_config(values)


@quick
@given(text=st.text(alphabet="ab:-[]{}&*!? \n'\"#|>1.e\t\0", max_size=60))
def test_text_as_configuration(text, tmp_path_factory) -> None:
    path: Path = tmp_path_factory.mktemp("c") / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with contextlib.suppress(DeepDFTError):
        read_config(path)


@quick
@given(text=st.text(alphabet="CNOFHcnos[]()=#@+-.12%/\\*\0 ", min_size=1, max_size=12))
def test_text_as_smiles(text) -> None:
    pytest.importorskip("rdkit")
    with contextlib.suppress(DeepDFTError):
        list(read_structures(text))


rows = st.lists(
    st.tuples(
        st.sampled_from(["H", "C", "O1", "D", "Bq", "8", "Xx", "H2"]),
        *[st.sampled_from(["0", "0.7", "nan", "inf", "-1e6", "1e300", "1.0D0", "*", "1e-400"])] * 3,
    ),
    max_size=4,
)


@quick
@given(
    rows=rows,
    comment=st.sampled_from([
        "", "charge=nan", "0 1", 'Lattice="0.01 0 0 0 0.01 0 0 0 0.01"',
        'Lattice="nan 0 0 0 3 0 0 0 3" pbc="T T T"', "Properties=species:S:1:pos:R:3",
        "Properties=species:S:1:pos:R:99999999999", "a=" * 200,
    ]),
)  # fmt: skip
def test_xyz(rows, comment, tmp_path_factory) -> None:
    path: Path = tmp_path_factory.mktemp("x") / "s.xyz"
    path.write_text("\n".join([str(len(rows)), comment, *(" ".join(row) for row in rows), ""]))
    with contextlib.suppress(DeepDFTError):
        list(read_structures(path))
