"""Work of the compiled kernels shared by threads in blocks, unless it is done before a second thread has woken up."""

from __future__ import annotations

from collections.abc import Callable

import numba

from tinygrad2.kernels import workers

BLOCKS_PER_THREAD = 4  # a thread that has lost its core holds up one block, and the others take the rest
SERIAL_BELOW = 1 << 22  # multiplications: 0.05 ms, less than a second thread takes to wake up
HELD_BYTES = 1 << 20  # of filter gradients that wait to be summed


def each(images: int, work_per_image: int, work: Callable[[int, int], None], held: int = 0) -> list[int]:
    """work(begin, end) for blocks of images, shared by threads; the numbers of the first image of each block.

    held: bytes that each block keeps for the end; with many there are as few blocks as threads.
    """
    threads = numba.get_num_threads() if images * work_per_image >= SERIAL_BELOW else 1
    count = min(images, BLOCKS_PER_THREAD * threads if threads * held < HELD_BYTES else threads)
    blocks = [(images * k // count, images * (k + 1) // count) for k in range(count)]
    workers.each(blocks, lambda block: work(*block), threads)
    return [begin for begin, _ in blocks]
