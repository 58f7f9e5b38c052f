"""How the kernels are compiled: on first use, for one thread or for several, and the machine code is kept on disk.

This file and its neighbours are imported only where Numba works, and only on first need: see `choose.py`.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # read when OpenMP starts: idle threads must leave the cores to BLAS

import numba

from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu import threads

Kernel: TypeAlias = Callable[..., None]

SERIAL_BELOW = 1 << 16  # elements moved: less than this is done before a second thread has woken up
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},  # without "nnan" and "ninf": NaN and inf propagate
}
_TILES = Path(__file__).with_name("tiles.py")

_region = threading.Lock()  # two parallel regions would share the same cores, and abort Numba's workqueue layer


def _kept(function: Kernel, **options: Any) -> Kernel:
    """`function` compiled on first use, and the machine code kept where there is a folder for it."""
    try:
        return numba.njit(cache=True, nogil=True, **options, **OPTIONS)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder where the machine code could be kept
        return numba.njit(nogil=True, **options, **OPTIONS)(function)  # type: ignore[no-any-return]


def alone(function: Kernel) -> Kernel:
    """Compiled for one thread. It releases the interpreter, so that other threads work at the same time."""
    # Numba takes machine code for stale when the file of `function` changes, but not when the tiles in it do.
    function.__qualname__ = f"{function.__qualname__}_{zlib.crc32(_TILES.read_bytes()):08x}"
    return _kept(function)


def together(function: Kernel) -> Kernel:
    """Compiled twice, called as run(work, *arguments): few elements of `work` use one thread, many use all."""
    twin = FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
    twin.__qualname__ = f"{function.__qualname__}_alone"  # Numba's cache tells functions apart by name, not by options
    serial = _kept(twin, parallel=False)
    parallel = _kept(function, parallel=True)

    def run(work: int, *arguments: Any) -> None:
        if work < SERIAL_BELOW or threads.busy():
            serial(*arguments)
        else:
            with _region:
                parallel(*arguments)

    return run


def helper(function: Any) -> Any:
    """Compiled into the kernels of the same file that call it."""
    return numba.njit(**OPTIONS)(function)


def flat(a: NDArray) -> NDArray:
    """`a` as a flat, contiguous view that cannot be written: so one compiled signature serves every input."""
    view = np.ascontiguousarray(a).reshape(a.size)
    view.setflags(write=False)
    return view


def shaped(a: NDArray, *shape: int) -> NDArray:
    """`a` as such a view of this shape."""
    view = np.ascontiguousarray(a).reshape(shape)
    view.setflags(write=False)
    return view
