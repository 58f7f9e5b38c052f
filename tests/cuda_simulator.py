"""Kernels on Numba's CUDA simulator, which runs them as Python on the arrays of CuPy's double.

The simulator is chosen when Numba is imported: NUMBA_ENABLE_CUDASIM=1 must be set, in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cupy_double
import numpy as np

THREADS = 32  # each is a thread of the operating system

assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def launch(name: str, dtype: np.dtype[Any], device: int) -> Callable[[int, tuple[Any, ...]], None]:
    """In the place of `kernels.cuda.launch.launch`."""
    from tinygrad2.kernels.cuda import source

    kernel = source.KERNELS[name]
    return simulated(kernel.function, kernel, dtype)


def simulated(function: Callable[..., None], kernel: Any, dtype: Any) -> Callable[[int, tuple[Any, ...]], None]:
    """`function` started with the arguments of `kernel`, each checked as the address or number that it must be."""
    from numba import cuda

    run = cuda.jit(function)

    def start(size: int, arguments: tuple[Any, ...]) -> None:
        given, numbers = arguments[: len(kernel.memory)], arguments[len(kernel.memory) :]
        memory = [_memory(a, letter, dtype) for a, letter in zip(given, kernel.memory, strict=True)]
        assert len(numbers) == kernel.numbers - 1
        assert all(type(n) is int for n in numbers), numbers
        run[-(-size // THREADS), THREADS](*memory, size, *numbers)

    return start


def _memory(a: Any, letter: str, dtype: Any) -> np.ndarray[Any, Any]:
    """The numbers at an address: flat, without a copy. A kernel can read and write them only if they are contiguous."""
    assert type(a) is cupy_double.ndarray
    host = a._host
    assert host.flags.c_contiguous
    kinds = {"T": dtype, "A": dtype, "I": np.dtype("int32"), "B": np.dtype("bool")}
    assert host.dtype == kinds[letter] or letter == "B"
    assert letter != "A" or host.ndim == 1
    return host.reshape(host.size)
