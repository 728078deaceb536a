"""A short report on a result: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from html import escape

import deepdft
from deepdft.web.results import Result
from deepdft.web.structures import formula_of

PICTURE = "<!-- picture -->"
"""Where the page puts the picture that it shows, as a data address."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem;
       color: #14202b; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d6dee6;
         vertical-align: top; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
img { max-width: 100%; border: 1px solid #d6dee6; border-radius: 8px; }
.small { color: #4a5a68; font-size: .9rem; }
""".strip()


def report(result: Result) -> str:
    """Return the report as HTML."""
    title = escape(f"{result.name}: electron density")
    formula = re.sub(r"(\d+)", r"<sub>\1</sub>", formula_of(result.atoms, result.scene.is_crystal))
    origin = (
        f"Predicted by the deepdft model “{escape(result.model)}”, which was trained on DFT "
        f"calculations, {escape(result.level)}; not measured, and not calculated by DFT."
        if result.model
        else f"As read from a file; level of theory: {escape(result.level)}."
    )
    parts = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f"<h1>{title}</h1>",
        f"<p>{formula}, {len(result.atoms)} atoms. {origin}</p>",
        PICTURE,
        _facts(result),
        _atoms(result),
        _lines("Warnings", result.warnings),
        _lines("Notes", result.notes),
        f'<p class="small">Written by deepdft {deepdft.__version__}.</p></html>',
    ]
    return "\n".join(part for part in parts if part)


def _facts(result: Result) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(fact.label)}</th><td class="number">'
        f"{_signed(f'{fact.value:.{fact.digits}f}')} {escape(fact.unit)}</td>"
        f"<td>{escape(fact.words)}</td></tr>"
        for fact in result.facts
    )
    return f"<table>{rows}</table>" if rows else ""


def _atoms(result: Result) -> str:
    if not result.atom_facts:
        return ""
    rows = []
    symbols = result.atoms.get_chemical_symbols()
    for number, (symbol, fact) in enumerate(zip(symbols, result.atom_facts, strict=True), 1):
        cells = [f"{x:.4f}" for x in result.atoms.positions[number - 1]]
        cells.append("" if fact.charge is None else f"{fact.charge:+.3f}")
        cells.append("" if fact.error is None else f"{fact.error:.4f}")
        numbers = "".join(f'<td class="number">{_signed(cell)}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row">{symbol}{number}</th>{numbers}</tr>')
    columns = ("x / Å", "y / Å", "z / Å", "Charge / e", "Expected error / e")
    head = '<tr><th scope="col">Atom</th>' + "".join(
        f'<th scope="col" class="number">{column}</th>' for column in columns
    )
    return f"<h2>Atoms</h2><table>{head}</tr>{''.join(rows)}</table>"


def _signed(number: str) -> str:
    """Return a number with a minus sign in the place of a hyphen."""
    return number.replace("-", "−")


def _lines(heading: str, lines: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(line[:1].upper() + line[1:])}</li>" for line in lines)
    return f"<h2>{heading}</h2><ul>{items}</ul>" if items else ""
