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
def _openblas(name: str) -> Any:
    """The function openblas_NAME of the library in NumPy's wheel; None where NumPy has another BLAS."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(file))
            for spelling in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):
                if hasattr(library, spelling.format(name)):
                    return getattr(library, spelling.format(name))
    return None


@functools.cache
def blas_core() -> str:
    """The processor whose vectors OpenBLAS uses here, for instance 'Haswell'; '' where NumPy has another BLAS."""
    if (get := _openblas("get_corename")) is None:
        return ""
    get.restype = ctypes.c_char_p
    return str(get().decode())


_lock = threading.Lock()
_inside, _before = 0, 1


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """One BLAS thread for each product, while any caller is inside; only speed depends on it."""
    global _inside, _before
    get, put = _openblas("get_num_threads"), _openblas("set_num_threads")
    if get is None or put is None:
        yield
        return
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
