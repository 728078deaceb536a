"""The compiled conversions between decimal text and float64."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdft.errors import ConfigurationError
from deepdft.formats.text import number_parsing
from deepdft.formats.text.decimal_batch import BATCH
from deepdft.formats.text.decimal_parser import PADDING, count_tokens
from deepdft.formats.text.decimal_writer import NumberLayout, NumberWriter, print_number
from deepdft.formats.text.fortran_float import parse_float
from deepdft.formats.text.number_parsing import NotANumberError, parse_file, parse_range
from deepdft.storage.range_file import RangeFile

LAYOUTS = [
    NumberLayout(11, 18, 5, fortran=True),
    NumberLayout(5, 12, 10, fortran=True),
    NumberLayout(6, 13, 6, row=50),
    NumberLayout(17, 25, 3),
    NumberLayout(2, 9, 10),
]


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer((text + " " * PADDING).encode(), dtype=np.uint8)


def parse(text: str, count: int, factor: float = 1.0) -> tuple[np.ndarray, int]:
    numbers = np.empty(count)
    buffer = as_bytes(text)
    position, found, lines = parse_range(buffer, 0, len(buffer) - PADDING, numbers, count, factor)
    assert found == count
    assert not text[position:].strip()
    return numbers, lines


def random_token(rng: random.Random) -> str:
    kind = rng.randrange(5)
    size = rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300)
    if kind == 0:
        return repr(size)
    if kind == 1:
        return f"{size:.{rng.randint(0, 22)}E}"
    if kind == 2:
        digits = (
            f"{rng.randrange(10 ** rng.randint(1, 25))}.{rng.randrange(10 ** rng.randint(1, 25))}"
        )
        exponents = ["", f"D{rng.randint(-50, 50):+03d}", f"e{rng.randint(0, 250)}"]
        return rng.choice(["", "-", "+"]) + digits + rng.choice(exponents)
    if kind == 3:
        return f".{rng.randrange(10**9)}{rng.randint(100, 300):+d}"  # Fortran leaves the E out
    return str(rng.randrange(10 ** rng.randint(1, 25)))


def test_every_number_is_the_nearest_float() -> None:
    rng = random.Random(0)
    tokens = [random_token(rng) for _ in range(20000)]
    text = "".join(rng.choice(["\n", " ", "  ", "\t", "\r\n"]) + token for token in tokens)
    numbers, lines = parse(text, len(tokens))
    assert lines == text.count("\n")
    assert numbers.tolist() == [parse_float(token) for token in tokens]


def test_forms_that_programs_write() -> None:
    text = "-.76010E+01 1.2-101 1.5D+00 3. .5 +7 0.1e-3 1E5 12345678901234567890 -0.0 1.5Q-2"
    numbers, _ = parse(text, 11)
    assert numbers.tolist() == [
        -7.601, 1.2e-101, 1.5, 3.0, 0.5, 7.0, 1e-4, 1e5, 12345678901234567890.0, 0.0, 0.015,
    ]  # fmt: skip


@pytest.mark.parametrize("exponents", [(-9, 9), (-30, 30), (-99, 99)])
def test_batches_of_vasp_lines(exponents: tuple[int, int]) -> None:
    rng = random.Random(1)
    count = 7 * BATCH + 3
    tokens = [
        f"{rng.choice(['0.', '-.'])}{rng.randrange(10**11):011d}E{rng.randint(*exponents):+03d}"
        for _ in range(count)
    ]
    text = "\n" + "".join(f" {t}" + "\n" * (i % 5 == 4) for i, t in enumerate(tokens))
    numbers, lines = parse(text, count)
    assert numbers.tolist() == [float(token) for token in tokens]
    assert lines == text.count("\n")


@pytest.mark.parametrize("fault", ["1.12345678901E+01", "0.1234567890xE+01", "0.12345678901F+01"])
def test_batches_notice_another_layout(fault: str) -> None:
    tokens = ["0.12345678901E+01"] * (2 * BATCH)
    tokens[BATCH + 7] = fault
    text = "\n" + "".join(f" {t}" + "\n" * (i % 5 == 4) for i, t in enumerate(tokens))
    if fault.startswith("1."):
        numbers, _ = parse(text, 2 * BATCH)
        assert numbers[BATCH + 7] == 11.2345678901
    else:
        with pytest.raises(NotANumberError, match=r"x|F"):
            parse(text, 2 * BATCH)


@pytest.mark.parametrize(
    "token", ["NaN", "Inf", "****", "1e999", "--1", "1e", ".", "E5", "1_0", "0x1"]
)
def test_what_is_no_number_is_named(token: str) -> None:
    with pytest.raises(NotANumberError) as caught:
        parse(f"1.0 2.0\n3.0 {token} 4.0", 5)
    assert caught.value.token == token
    assert caught.value.lines == 1


def test_factor_and_limit() -> None:
    numbers = np.full(4, -1.0)
    buffer = as_bytes("1 2 3 4")
    position, found, _ = parse_range(buffer, 0, 7, numbers, 2, 2.5)
    assert (position, found) == (3, 2)
    assert numbers.tolist() == [2.5, 5.0, -1.0, -1.0]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.sampled_from([" ", "\n", "a", "bc", "\t"]), max_size=600))
def test_tokens_are_counted(parts: list[str]) -> None:
    text = "".join(parts)
    count = count_tokens(as_bytes(text), 0, len(text))
    assert count == len(text.split())
    assert isinstance(count, int)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_give_the_same_numbers(threads: int, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(number_parsing, "_BLOCK", 4096)
    rng = random.Random(2)
    tokens = [random_token(rng) for _ in range(9000)]
    text = (
        "head " + "".join(rng.choice(["\n", " ", "   "]) + token for token in tokens) + " 5.5 tail"
    )
    path = tmp_path / "numbers"
    path.write_text(text)
    numbers = np.empty(len(tokens))
    with RangeFile(str(path)) as file:
        end, found, lines = parse_file(file, 4, numbers, 1.0, threads)
    assert found == len(tokens)
    assert numbers.tolist() == [parse_float(token) for token in tokens]
    assert text[end:] == " 5.5 tail"
    assert lines == text.count("\n")


def test_threads_report_faults_and_short_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(number_parsing, "_BLOCK", 1024)
    path = tmp_path / "numbers"
    path.write_text("1.5 " * 5000 + "nan " + "2.5 " * 5000)
    with RangeFile(str(path)) as file:
        with pytest.raises(NotANumberError) as caught:
            parse_file(file, 0, np.empty(10001), 1.0, 3)
        assert caught.value.offset == 20000
        assert parse_file(file, 20004, np.empty(9000), 1.0, 3)[1] == 5000
    path.write_text("1" * 200000)
    with RangeFile(str(path)) as file, pytest.raises(NotANumberError):
        parse_file(file, 0, np.empty(100), 1.0, 2)


def printed(values: np.ndarray, layout: NumberLayout, pieces: int = 3) -> bytes:
    file = io.BytesIO()
    writer = NumberWriter(file, layout)
    for piece in np.array_split(values, pieces):
        writer.write(piece)
    writer.finish()
    return file.getvalue()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_digits_are_those_of_python(layout: NumberLayout) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            rng.normal(size=3000) * 10.0 ** rng.integers(-97, 96, 3000),
            rng.normal(size=3000) * 10.0 ** rng.integers(-4, 4, 3000),
            rng.integers(-400, 400, 2000) / 8,  # ties
            10.0 ** np.arange(-97, 97),
            np.nextafter(10.0 ** np.arange(-97, 97), 0),
            [0.0, -0.0, 1e-99, -1e-120, 5e-324, 9.99999999995, 1e22, 1e23],
        ]
    )
    text = printed(values, layout)
    expected = [print_number(value, layout) for value in values.tolist()]
    assert text.replace(b"\n", b"") == b"".join(expected)
    kept = np.where(np.abs(values) < 1e-98, 0.0, values)
    error = np.abs([float(word) for word in expected] - kept)
    assert (error <= 0.5001 * np.abs(kept) * 10.0 ** (1 - layout.digits)).all()
    longest = max(len(line.split()) for line in text.splitlines())
    assert longest == min(layout.columns, layout.row or layout.columns)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.floats(-1e97, 1e97, allow_subnormal=True), min_size=1, max_size=30))
def test_what_is_written_again_stays(values: list[float]) -> None:
    layout = LAYOUTS[0]
    once = printed(np.array(values), layout)
    again, _ = parse(once.decode(), len(values))
    assert printed(again, layout) == once


def test_rows_begin_new_lines() -> None:
    layout = NumberLayout(6, 13, 6, row=8)
    lines = printed(np.arange(1.0, 25.0), layout).splitlines()
    assert [len(line.split()) for line in lines] == [6, 2] * 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e98, -1e300])
def test_impossible_numbers_are_refused(value: float) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        printed(np.array([1.0, value]), LAYOUTS[0])


def test_layout_needs_possible_digits() -> None:
    with pytest.raises(ConfigurationError, match="2 to 17"):
        NumberLayout(1, 10, 5)
    with pytest.raises(ConfigurationError, match="2 to 17"):
        NumberLayout(18, 30, 5)
