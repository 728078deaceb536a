"""What other packages bring: found by entry points, and loaded when it is asked for.

A package that cannot be imported, or that names something else than it should, spoils nothing but
what it would have brought.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

ARCHITECTURES = "deepdft.architectures"
"""Each a `deepdft.architectures.Architecture`, under its own name."""

COMMANDS = "deepdft.commands"
"""Each a `deepdft.cli.commands.CommandPlace`, under the word that is typed behind `deepdft`."""

FORMATS = "deepdft.formats"
"""Each a `deepdft.formats.registry.Format`, under its own name."""


@cache
def plug_ins(group: str) -> dict[str, EntryPoint]:
    """Return what packages name in a group of entry points; of two of one name, the first."""
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def load_plug_in(group: str, name: str, kind: type[T], what: str) -> T:
    """Return what a package brings under a name.

    Args:
        group: of entry points.
        name: in that group.
        kind: what it has to be; where this has a name, it has to be the same.
        what: how errors call such a thing, as "architecture".

    Raises:
        ConfigurationError: if the package cannot be imported or brings something else; says which.
    """
    point = plug_ins(group)[name]
    package = "?" if point.dist is None else point.dist.name
    try:
        found = point.load()
    except Exception as error:  # whatever a package of others does while it is imported
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ConfigurationError(
            f"The {what} '{name}' of the package {package} cannot be imported: {reason}."
        ) from error
    if not isinstance(found, kind) or getattr(found, "name", name) != name:
        raise ConfigurationError(
            f"The package {package} names {point.value} as the {what} '{name}', which is not the "
            "description of one by that name."
        )
    return found
