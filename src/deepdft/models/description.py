"""What a model folder's `model.json` has to be like before anything is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from ase.data import atomic_numbers
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from deepdft.errors import FileFormatError

_MOST_CHARGE = 100
_MOST_ELECTRONS = 200

_Fraction = Annotated[float, Field(allow_inf_nan=False, strict=False)]


def _element(symbol: str) -> str:
    if symbol not in atomic_numbers or atomic_numbers[symbol] < 1:
        raise ValueError(f"an unknown element {symbol[:20]!r}")
    return symbol


def _unique(symbols: list[str]) -> list[str]:
    if len(set(symbols)) < len(symbols):
        raise ValueError("an element is named twice")
    return symbols


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Measured(_Strict):
    """Errors on one part of the data."""

    eps_mae_percent: _Fraction | None = None
    mean_absolute_electron_error: _Fraction | None = None


class _Card(_Strict):
    """What is used of a card; what else it holds is for people."""

    charges: list[Annotated[int, Field(ge=-_MOST_CHARGE, le=_MOST_CHARGE)]] | None = None
    spin: bool | None = None
    kind: Literal["molecules", "liquid", "crystals"] | None = None
    molecule: str | None = None
    needs: list[list[str]] | None = None
    electrons: dict[str, Annotated[int, Field(ge=0, le=_MOST_ELECTRONS)]] | None = None
    validation: _Measured | None = None
    test: _Measured | None = None
    training: dict[str, Any] | None = None


class _Description(_Strict):
    """A `model.json` of today's format."""

    architecture: str
    options: dict[str, Any]
    elements: Annotated[
        list[Annotated[str, AfterValidator(_element)]], Field(min_length=1), AfterValidator(_unique)
    ]
    level: dict[str, str]
    baseline: str | None = None
    tables: Literal["atomic_densities.npz"] | None = None
    card: _Card | None = None


def require_valid(description: dict[str, Any], path: Path) -> None:
    """Refuse a description with values of other types than it should have.

    Args:
        description: of today's format.
        path: where it is from.

    Raises:
        FileFormatError: naming the entry.
    """
    try:
        _Description.model_validate(description)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part)[:40] for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise FileFormatError(f"{path}: the entry '{key}' is unusable: {message}.") from None
