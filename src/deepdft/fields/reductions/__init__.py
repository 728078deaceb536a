"""Reductions: what is added up over a field while it is walked through.

Every module here that defines a `Reduction` with a name adds it to all walks, or to those that ask
for it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Collection, Mapping

from deepdft.fields.reductions.reduction import (
    Integral,
    Reduction,
    Reductions,
    Result,
    Subject,
    flattened,
)

__all__ = [
    "Integral",
    "Reduction",
    "Reductions",
    "Result",
    "Subject",
    "described",
    "flattened",
    "known_reductions",
    "reductions_of",
]


@functools.cache
def known_reductions() -> dict[str, type[Reduction]]:
    """Return all reductions by name, the number of electrons first."""
    modules = pkgutil.iter_modules(__path__, f"{__name__}.")
    kinds: list[type[Reduction]] = [
        member
        for module in modules
        for member in vars(importlib.import_module(module.name)).values()
        if inspect.isclass(member) and member.__module__ == module.name
        if issubclass(member, Reduction) and not inspect.isabstract(member)
    ]
    kinds.sort(key=lambda kind: (kind.name != "electrons", kind.name))
    return {kind.name: kind for kind in kinds}


def described(results: Mapping[str, Result]) -> list[str]:
    """Return a few words on each result that a summary of one line tells of."""
    kinds = known_reductions()
    words = [kinds[name].describe(result) for name, result in results.items() if name in kinds]
    return [word for word in words if word]


def reductions_of(subject: Subject, requested: Collection[str] = ()) -> Reductions:
    """Return empty reductions for a walk: all that have a meaning for its subject.

    Args:
        subject: what is walked through.
        requested: names of those that take part only where they are asked for.
    """
    kinds = [
        kind
        for name, kind in known_reductions().items()
        if not kind.on_request or name in requested
    ]
    made = [kind.of(subject) for kind in kinds]
    return Reductions(one for one in made if one is not None)
