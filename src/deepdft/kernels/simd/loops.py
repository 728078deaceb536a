"""Loops in machine code that is under construction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepdft.kernels.simd.vectors import INDEX


class Loop:
    """A loop whose body is being built.

    Attributes:
        index: number of the repetition.
    """

    def __init__(self, builder: Any, entry: Any, first: Any) -> None:
        self._builder, self._entry, self._body = builder, entry, builder.block
        self.index = self.carried(first)

    def carried(self, initial: Any) -> Any:
        """Return a value that each repetition hands on; to be asked for before all else."""
        value = self._builder.phi(initial.type)
        value.add_incoming(initial, self._entry)
        return value

    def hand_on(self, value: Any, following: Any) -> None:
        """Let a carried value be `following` in the next repetition."""
        value.add_incoming(following, self._body)


@contextmanager
def counted(builder: Any, first: Any, last: Any, *, maybe_none: bool = False) -> Iterator[Loop]:
    """Repeat what is built within for first..last-1; what that computes can be used afterwards.

    What is built within has no branches of its own.

    Args:
        builder: builds the function.
        first: of type INDEX.
        last: one more than the last.
        maybe_none: first may be last; then nothing is computed. Else it is done once at least.
    """
    entry, body = builder.block, builder.append_basic_block("loop")
    after = builder.append_basic_block("after")
    if maybe_none:
        builder.cbranch(builder.icmp_signed("<", first, last), body, after)
    else:
        builder.branch(body)
    builder.position_at_end(body)
    loop = Loop(builder, entry, first)
    yield loop
    following = builder.add(loop.index, INDEX(1))
    loop.hand_on(loop.index, following)
    builder.cbranch(builder.icmp_signed("<", following, last), body, after)
    builder.position_at_end(after)
