"""Blocks of work shared by threads, each of which takes the next block when it is free.

Threads in lock-step wait at every step for the one that has lost its core. Here they meet only at the end,
and the thread that called does what the others have not begun. While they work, BLAS uses one thread for a product.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
from threadpoolctl import ThreadpoolController

from tinygrad2.kernels.arrays import NDArray

Block = TypeVar("Block")

BLOCKS_PER_THREAD = 4  # a thread that has lost its core holds up one block, and the others take the rest
SERIAL_BELOW = 1 << 22  # multiplications: 0.05 ms, less than a second thread takes to wake up
HELD_BYTES = 1 << 20  # of filter gradients that wait to be summed

_this = threading.local()


def busy() -> bool:
    """True inside a block: what runs there must not start threads of its own."""
    return getattr(_this, "busy", False)


def each(images: int, work_per_image: int, work: Callable[[int, int], None]) -> None:
    """work(begin, end) for blocks of images, in any order, shared by threads if there is enough to do."""
    threads = numba.get_num_threads() if images * work_per_image >= SERIAL_BELOW else 1
    if threads < 2:
        work(0, images)
    else:
        share(_blocks(images, BLOCKS_PER_THREAD * threads), lambda block: work(*block), threads)


def add_each(
    total: NDArray, images: int, work_per_image: int, work: Callable[[int, int], NDArray], held: int = 0
) -> None:
    """Add work(begin, end) of every block of images to `total`, in the order of the blocks.

    held: bytes of one such result, where they are many: then there are as few blocks as threads.
    """
    threads = numba.get_num_threads() if images * work_per_image >= SERIAL_BELOW else 1
    blocks = _blocks(images, BLOCKS_PER_THREAD * threads if threads * held < HELD_BYTES else threads)
    parts: dict[int, NDArray] = {}

    def one(block: tuple[int, int]) -> None:
        parts[block[0]] = work(*block)

    share(blocks, one, threads)
    for begin, _ in blocks:
        total += parts[begin]


def _blocks(images: int, most: int) -> list[tuple[int, int]]:
    count = min(images, most)
    return [(images * k // count, images * (k + 1) // count) for k in range(count)]


def share(blocks: Sequence[Block], work: Callable[[Block], object], threads: int) -> None:
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
def blas() -> Any:
    """threadpoolctl's access to NumPy's BLAS; None where threadpoolctl does not know it (Apple's Accelerate)."""
    # Looking for the libraries of a process takes a millisecond, so it is done once.
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return next((library for library in found if "numpy" in library.filepath), found[0] if found else None)


_lock = threading.Lock()
_inside = 0
_before = 1


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """One BLAS thread for each product, while any caller is inside; only speed depends on it."""
    global _inside, _before
    library = blas()
    if library is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _before = library.get_num_threads()
            library.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                library.set_num_threads(_before)
