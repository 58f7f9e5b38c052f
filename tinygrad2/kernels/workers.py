"""Blocks of work shared by threads, each of which takes the next block when it is free.

Threads in lock-step wait at every step for the one that has lost its core. Here they meet only at the end,
and the thread that called does whatever the others have not begun. While they work BLAS uses one thread for a product.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Block = TypeVar("Block")

_this = threading.local()


def busy() -> bool:
    """True inside a block: what runs there must not start threads of its own."""
    return getattr(_this, "busy", False)


def each(blocks: Sequence[Block], work: Callable[[Block], object], threads: int) -> None:
    """work(block) for every block, in any order; an error in one of them is raised."""
    if len(blocks) < 2 or threads < 2 or busy():
        for block in blocks:
            work(block)
        return
    left = list(reversed(blocks))

    def take() -> None:
        _this.busy = True
        try:
            while left:
                try:
                    block = left.pop()
                except IndexError:  # another thread was faster
                    return
                work(block)
        finally:
            _this.busy = False

    with one_thread_per_product():
        helpers = [_pool(os.getpid(), threads).submit(take) for _ in range(min(threads, len(blocks)) - 1)]
        try:
            take()
        finally:
            left.clear()
            for helper in helpers:
                if not helper.cancel():
                    helper.result()


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The helpers of this process; a forked one has none of its parent's."""
    return ThreadPoolExecutor(threads, "tinygrad2")


@functools.cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """How many threads the OpenBLAS in NumPy's wheel uses, and how to say so; None where NumPy has another BLAS."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            library: Any = ctypes.CDLL(str(file))
            for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads"):
                if hasattr(library, name.format("set")) and hasattr(library, name.format("get")):
                    return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None


_lock = threading.Lock()
_inside, _before = 0, 1


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """One BLAS thread for each product, while any caller is inside; only speed depends on it."""
    global _inside, _before
    if (blas := _openblas()) is None:
        yield
        return
    get, put = blas
    with _lock:
        if _inside == 0:
            _before = get()
            put(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                put(_before)
