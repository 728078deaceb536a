"""YAML of strangers: plain values, bounded before anything is made of them.

Tags are not followed. An alias repeats what stands elsewhere, so that a short text can stand for
any amount of it: what it stands for is counted first.
"""

from __future__ import annotations

from typing import Any

import yaml

from deepdft.errors import ConfigurationError, FileFormatError

LARGEST_TEXT = 1 << 20
"""Characters of a text."""
DEEPEST = 30
"""Levels of lists and mappings within each other."""
MOST_VALUES = 100_000
"""Values that a text stands for, those of its aliases repeated."""
LONGEST_NUMBER = 40
"""Characters of a number."""


def parse_yaml(text: str, place: str) -> Any:
    """Return what YAML says.

    Args:
        text: the YAML.
        place: begins messages.

    Raises:
        FileFormatError: if it is not valid or beyond the bounds of this module.
    """
    if len(text) > LARGEST_TEXT:
        raise FileFormatError(f"{place} is longer than {LARGEST_TEXT} characters.")
    try:
        _require_shallow(text, place)
        loader = yaml.SafeLoader(text)
        try:
            node: Any = loader.get_single_node()
            if node is None:
                return None
            _count(node, place, {}, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:300]
        raise FileFormatError(f"{place} is not valid YAML: {reason}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # Dates that are none, keys that cannot be keys.
        raise FileFormatError(f"{place} is not valid YAML: {str(error)[:200]}") from None


def option_value(text: str, option: str) -> Any:
    """Return the value that an option on a command line has.

    Args:
        text: the value, in YAML.
        option: all of it, for the message.

    Raises:
        ConfigurationError: see `parse_yaml`.
    """
    try:
        return parse_yaml(text, f"The value of '{option}'")
    except FileFormatError as error:
        raise ConfigurationError(str(error)) from None


def _require_shallow(text: str, place: str) -> None:
    """Refuse deep nesting while it is told as events, one after the other."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise FileFormatError(f"{place} is nested more than {DEEPEST} levels deep.")


def _count(node: Any, place: str, known: dict[int, int], above: set[int]) -> int:
    """Return how many values a node stands for."""
    if id(node) in above:
        raise FileFormatError(f"{place} holds an alias of what it is a part of.")
    if id(node) in known:
        return known[id(node)]
    total = 1
    if isinstance(node, yaml.ScalarNode):
        kind = node.tag.rpartition(":")[2]
        if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
            raise FileFormatError(
                f"{place} holds a number of {len(node.value)} characters ({node.value[:10]}...)."
            )
    else:
        above.add(id(node))
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        for part in parts:
            total += _count(part, place, known, above)
            if total > MOST_VALUES:
                raise FileFormatError(f"{place} stands for more than {MOST_VALUES} values.")
        above.discard(id(node))
    known[id(node)] = total
    return total
