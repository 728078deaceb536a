"""The table of file formats in the documentation, made from the registry.

``python -m deepdft.formats.table`` prints it, ``python -m deepdft.formats.table docs/formats.md``
puts it where that file marks its place.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from deepdft.errors import ConfigurationError
from deepdft.formats.registry import FORMATS, Format
from deepdft.storage.compression import CODECS

BEGIN = "<!-- made by python -m deepdft.formats.table docs/formats.md -->"
END = "<!-- end -->"
_COLUMNS = ("format", "name", "read", "write", "streamed", "spin", "cells", "checked against")


def table() -> str:
    """Return a Markdown table: what each format can hold and what it is checked against."""
    rows = [_COLUMNS, *(_row(entry) for entry in FORMATS)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    codecs = ", ".join(f"{codec.suffix} ({codec.name})" for codec in CODECS)
    return "\n".join(lines) + f"\n\nCompressed, in any of these formats: {codecs}.\n"


def _row(entry: Format) -> tuple[str, ...]:
    writes = bool(entry.writer)
    return (
        entry.title,
        f"`{entry.name}`",
        "yes",
        "yes" if writes else "no",
        f"axis {_axis(entry)}" if writes else "",
        entry.spin,
        entry.cells,
        entry.oracle,
    )


def _axis(entry: Format) -> int:
    """Return the axis along which the format's writer takes slabs."""
    writer = inspect.signature(entry.function("open_writer"), eval_str=True).return_annotation
    axis: int = writer.axis
    return axis


def options() -> str:
    """Return a Markdown list of the options of each reader and writer."""
    lines = []
    for entry in FORMATS:
        reading = _keywords(entry.function("read"))
        writing = _keywords(entry.function("write")) if entry.writer else []
        names = [f"read: {', '.join(reading)}"] if reading else []
        names += [f"write: {', '.join(writing)}"] if writing else []
        if names:
            lines.append(f"- `{entry.name}`: {'; '.join(names)}")
    return "\n".join(lines) + "\n"


def _keywords(function: object) -> list[str]:
    assert callable(function)
    known = inspect.signature(function).parameters.values()
    return [f"`{option.name}`" for option in known if option.kind is option.KEYWORD_ONLY]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [f" {cell.ljust(width)} " for cell, width in zip(row, widths, strict=True)]
    return "|" + "|".join(cells) + "|"


def update(text: str) -> str:
    """Return a document with everything between the marks made anew.

    Raises:
        ConfigurationError: if the document has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigurationError(f"There are no marks {BEGIN} and {END} in the document.")
    return f"{before}{BEGIN}\n{table()}\nOptions:\n\n{options()}{END}{after}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        document = Path(sys.argv[1])
        document.write_text(update(document.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
        print(options(), end="")
