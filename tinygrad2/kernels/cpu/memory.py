"""Large results are made in memory that earlier ones have left: fresh pages can cost more than the work they are for.

One idea: an array that looks into another keeps it alive. So memory to which only this file refers is free again.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad2.kernels.arrays import NDArray

SMALLEST = 1 << 20  # bytes; the allocator reuses smaller ones itself
MOST_IDLE = 1 << 27  # bytes kept though nobody uses them
MOST_WASTED = 1.25  # memory so many times too large will do
LINE = 64  # bytes of a cache line, where arrays begin

_owners: list[NDArray] = []  # the oldest first
_lock = threading.Lock()


def _references(owners: Sequence[NDArray]) -> list[int]:
    return [sys.getrefcount(owner) for owner in owners]


_UNUSED = _references([np.empty(0)])[0]  # an owner that only a list refers to


def empty(shape: Sequence[int], dtype: Any) -> NDArray:
    """`numpy.empty`, from memory that is no longer used if there is some."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    with _lock:
        owner = _owner(size + LINE)
        start = -owner.ctypes.data % LINE
        a: NDArray = owner[start : start + size].view(dtype).reshape(shape)
        return a


def _owner(size: int) -> NDArray:
    """The smallest free memory that fits, or new memory; then the oldest that is free beyond MOST_IDLE is given up."""
    free = [i for i, count in enumerate(_references(_owners)) if count == _UNUSED]
    fitting = [i for i in free if size <= _owners[i].nbytes <= MOST_WASTED * size]
    if fitting:
        return _owners[min(fitting, key=lambda i: _owners[i].nbytes)]
    idle = sum(_owners[i].nbytes for i in free)
    for taken, i in enumerate(free):
        if idle <= MOST_IDLE:
            break
        idle -= _owners.pop(i - taken).nbytes
    _owners.append(np.empty(size, np.uint8))
    return _owners[-1]
