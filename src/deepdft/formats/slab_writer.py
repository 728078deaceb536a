"""Writing a density layer by layer, so that memory does not grow with the grid."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.storage.whole_files import AtomicFile

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
SLAB_POINTS = 1 << 18
"""Points that `write_density` passes on at a time."""


class SlabWriter(ABC):
    """A density file that is filled slab by slab inside a `with` block.

    The file appears when the block ends without an error and all layers have come; otherwise
    whatever was there before stays.

    Attributes:
        path: the destination.
        grid: the points.
        axis: the axis along which slabs arrive, from the first layer to the last.
    """

    axis: int = 0

    def __init__(self, path: str | Path, grid: Grid) -> None:
        self.path = Path(path)
        self.grid = grid
        self._layers = 0
        self._open = False

    def __enter__(self) -> Self:
        self._begin()
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        if kind is not None:
            self._abandon(kind, error, traceback)
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise self._unwritable(error) from None
            return
        missing = self.grid.shape[self.axis] - self._layers
        try:
            if missing:
                raise ConfigurationError(
                    f"{self.path} is not written: {missing} of {self.grid.shape[self.axis]} layers "
                    f"along axis {self.axis} are missing."
                )
            self._finish()
        except BaseException as problem:
            self._abandon(type(problem), problem, problem.__traceback__)
            if isinstance(problem, OSError):
                raise self._unwritable(problem) from None
            raise

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"{self.path} is not written: {error.strerror or error}.")

    def write_slab(self, values: NDArray[np.floating[Any]]) -> None:
        """Append the next layers.

        Args:
            values: shaped like the grid, with the thickness of the slab along `axis`, e/Å^3.

        Raises:
            ConfigurationError: if the shape does not fit or a value is not finite.
        """
        if not self._open:
            raise ConfigurationError(f"The writer of {self.path} is used outside its `with` block.")
        thickness = values.shape[self.axis] if values.ndim == 3 else 0
        expected = list(self.grid.shape)
        expected[self.axis] = thickness
        if tuple(expected) != values.shape or self._layers + thickness > self.grid.shape[self.axis]:
            raise ConfigurationError(
                f"A slab of shape {values.shape} does not continue a grid of {self.grid.shape} "
                f"points behind layer {self._layers} of axis {self.axis}."
            )
        if not np.isfinite(values).all():
            raise ConfigurationError("A value of a density is not finite and is not written.")
        self._write_layers(values)
        self._layers += thickness

    @abstractmethod
    def _begin(self) -> None:
        """Open the temporary file and write the header."""

    @abstractmethod
    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        """Write checked layers."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what follows the last layer and put the file in its place."""

    @abstractmethod
    def _abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the temporary file."""


class FileSlabWriter(SlabWriter):
    """A slab writer whose format is one stream of bytes."""

    def _begin(self) -> None:
        self._atomic = AtomicFile(self.path)
        self._file = self._atomic.__enter__()
        try:
            self._write_header(self._file)
        except BaseException as error:
            self._abandon(type(error), error, error.__traceback__)
            raise

    def _finish(self) -> None:
        self._write_footer(self._file)
        self._atomic.__exit__(None, None, None)

    def _abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._atomic.__exit__(kind, error, traceback)

    @abstractmethod
    def _write_header(self, file: BinaryIO) -> None:
        """Write what comes before the values."""

    def _write_footer(self, file: BinaryIO) -> None:
        """Write what comes behind the values."""


def write_density(writer: SlabWriter, density: Density) -> None:
    """Pass the values of a density through a writer."""
    with writer:
        for start, stop in density.grid.slabs(writer.axis, SLAB_POINTS):
            writer.write_slab(take_layers(density.values, writer.axis, start, stop))


def take_layers(
    values: NDArray[np.floating[Any]], axis: int, start: int, stop: int
) -> NDArray[np.floating[Any]]:
    """Return the layers ``[start, stop)`` along one of the last three axes, a view."""
    index = [slice(None)] * values.ndim
    index[values.ndim - 3 + axis] = slice(start, stop)
    return values[tuple(index)]
