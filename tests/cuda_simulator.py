"""Kernels on Numba's CUDA simulator, which runs them as Python on the arrays of CuPy's double.

The simulator is chosen when Numba CUDA is imported: NUMBA_ENABLE_CUDASIM=1 must be set, in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np

THREADS = 32  # of a block; each is a thread of the operating system

started: list[str] = []
"""The names of the kernels that were started, in order."""


def launch(name: str, constants: tuple[int, ...], dtype: np.dtype[Any], device: int) -> Callable[..., None]:
    """In the place of `kernels.cuda.launch.launch`: every argument is checked as the address or number it must be."""
    from numba import cuda

    from tinygrad2.kernels.cuda import source

    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    kernel = source.KERNELS[name]
    run = cuda.jit(kernel.make(*constants))

    def start(memory: tuple[Any, ...], size: int, numbers: tuple[int, ...]) -> None:
        started.append(name)
        assert len(numbers) == kernel.numbers - 1
        assert all(type(n) is int for n in (size, *numbers))
        flat = [_memory(a, letter, dtype) for a, letter in zip(memory, kernel.memory, strict=True)]
        with np.errstate(all="ignore"):
            run[-(-size // THREADS), THREADS](*flat, size, *numbers)

    return start


def _memory(a: Any, letter: str, dtype: Any) -> np.ndarray[Any, Any]:
    """The numbers at an address: flat, without a copy. A kernel can read and write them only if they are contiguous."""
    assert type(a) is cupy_double.ndarray
    host = a._host
    assert host.flags.c_contiguous
    kinds = {"T": (dtype,), "A": (dtype,), "I": (np.dtype("int32"),), "B": (np.dtype("bool"), dtype)}
    assert host.dtype in kinds[letter]  # a kernel that has no mask gets any address in its place
    assert letter != "A" or host.ndim == 1
    return host.reshape(host.size)
