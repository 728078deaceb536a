"""Files mapped into memory, without an open descriptor for each.

`mmap` of the standard library keeps a descriptor as long as the map lives (before Python 3.13
always), and a process may have but a few hundred of them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.platform == "win32":

    def map_file(path: str | Path, size: int) -> NDArray[np.uint8]:
        """Return the first `size` bytes of a file, mapped into memory and read only.

        Raises:
            OSError: if the file cannot be opened or mapped.
            ValueError: if it is shorter.
        """
        # Maps hold handles here, of which there are plenty.
        return np.memmap(path, np.uint8, "r", shape=(size,)).view(np.ndarray)

else:

    def map_file(path: str | Path, size: int) -> NDArray[np.uint8]:
        """Return the first `size` bytes of a file, mapped into memory and read only.

        Raises:
            OSError: if the file cannot be opened or mapped.
            ValueError: if it is shorter.
        """
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size < size:
                raise ValueError(f"it is shorter than {size} bytes")
            library = _library()
            address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        finally:
            os.close(descriptor)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        content = (ctypes.c_ubyte * size).from_address(address)
        # Not when the interpreter ends: somebody may still be reading, and the system tidies up.
        weakref.finalize(content, library.munmap, address, size).atexit = False
        mapped: NDArray[np.uint8] = np.frombuffer(memoryview(content), np.uint8)
        mapped.flags.writeable = False
        return mapped

    _FAILED = ctypes.c_void_p(-1).value

    @cache
    def _library() -> Any:
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
            ctypes.c_long,
        ]  # fmt: skip
        library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        return library
