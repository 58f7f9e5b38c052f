"""Starts the kernels that Numba compiled, with CuPy: on CuPy's current device and stream, in CuPy's memory.

CuPy's launch takes a few microseconds, Numba's own several times as long; and one library alone owns the GPU's context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.once import once

BLOCK = 256  # threads
MOST = 1 << 32  # numbers in a result: the kernels divide with 32 bits

Launch = Callable[[int, tuple[Any, ...]], None]


def run(name: str, size: int, *arguments: Any) -> None:
    """Start the kernel with one thread for each of `size` results. arguments: those before and after `size`."""
    if size >= MOST:
        raise ValueError(f"a GPU kernel makes fewer than 2**32 numbers at once, not {size}: use a smaller batch")
    if size:
        first = arguments[0]
        launch(name, first.dtype, device())(size, arguments)


def device() -> int:
    """The number of CuPy's current device."""
    import cupy

    return int(cupy.cuda.runtime.getDevice())


@once
def launch(name: str, dtype: np.dtype[Any], device: int) -> Launch:
    """A function that starts the kernel for numbers of this dtype on this device; compiled on first use."""
    import cupy

    from tinygrad2.kernels.cuda import source

    capability = cupy.cuda.Device(device).compute_capability  # such as "90"
    entry, text = source.ptx(name, dtype, (int(capability[:-1]), int(capability[-1])))
    module = cupy.cuda.function.Module()
    module.load(text.encode())
    function = module.get_function(entry)
    memory = source.KERNELS[name].memory
    before = len(memory)
    array = memory.find("A")

    def start(size: int, arguments: tuple[Any, ...]) -> None:
        given = arguments[:before]
        if array >= 0:
            given = (*given[:array], *_fields(given[array]), *given[array + 1 :])
        function((-(-size // BLOCK),), (BLOCK,), (*given, size, *arguments[before:]))

    return start


def _fields(a: Array) -> tuple[Any, ...]:
    """A flat array as Numba passes it: two owners, its numbers, bytes of one, address, shape, strides."""
    return 0, 0, a.size, a.itemsize, a, a.size, a.itemsize
