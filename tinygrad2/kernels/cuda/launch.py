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
MOST = 1 << 32  # results: the kernels divide with 32 bits

Launch = Callable[..., None]


def run(name: str, constants: tuple[int, ...], size: int, memory: tuple[Array, ...], *numbers: int) -> None:
    """Start the kernel made for the constants, with one thread for each of `size` results.

    memory: its arrays, contiguous, the first one of the kernel's dtype; numbers: the whole numbers after `size`.
    """
    if 0 < size < MOST:
        launch(name, constants, memory[0].dtype, device())(memory, size, numbers)
    elif size:
        raise ValueError(f"a GPU kernel makes fewer than 2**32 numbers at once, not {size}: use a smaller batch")


def device() -> int:
    """The number of CuPy's current device."""
    import cupy

    return int(cupy.cuda.runtime.getDevice())


@once
def launch(name: str, constants: tuple[int, ...], dtype: np.dtype[Any], device: int) -> Launch:
    """A function that starts the kernel on this device; it is compiled now."""
    import cupy

    from tinygrad2.kernels.cuda import source

    capability = cupy.cuda.Device(device).compute_capability  # such as "90"
    entry, text = source.ptx(name, constants, dtype, (int(capability[:-1]), int(capability[-1])))
    module = cupy.cuda.function.Module()
    module.load(text.encode())
    function = module.get_function(entry)
    array = source.KERNELS[name].memory.find("A")

    def start(memory: tuple[Array, ...], size: int, numbers: tuple[int, ...]) -> None:
        if array >= 0:
            memory = (*memory[:array], *_fields(memory[array]), *memory[array + 1 :])
        function((-(-size // BLOCK),), (BLOCK,), (*memory, size, *numbers))

    return start


def _fields(a: Array) -> tuple[Any, ...]:
    """A flat array as Numba passes it: two owners, its numbers, bytes of one, address, shape, strides."""
    return 0, 0, a.size, a.itemsize, a, a.size, a.itemsize
