"""Masks compiled for the CPU: a select without branches, where NumPy's `where` guesses each bit of a ReLU pattern.

One thread does it: it is done before a second one has woken up, or is limited by memory.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad2.kernels.cpu import FASTMATH, NDArray, _input, compile_cached
from tinygrad2.kernels.memory import empty

_alone = partial(compile_cached, nogil=True, error_model="numpy", fastmath=FASTMATH)


@_alone
def _select(g, m, y):  # type: ignore[no-untyped-def]
    """g: (L, P), m: (P,), shared over L -> y: (L, P)."""
    source, target, size = g.reshape(-1), y.reshape(-1), m.size
    for k in range(g.shape[0]):
        for p in range(size):
            target[np.uintp(k * size + p)] = source[np.uintp(k * size + p)] if m[np.uintp(p)] else g.dtype.type(0)


def masked(g: NDArray, m: NDArray, out: NDArray | None = None) -> NDArray:
    """g: (..., *m.shape) where m, 0 elsewhere; in a new array, or in `out`, which may be g and is contiguous."""
    y = empty(g.shape, g.dtype) if out is None else out
    if y.size:
        _select(_input(g, y.size // m.size, m.size), _input(m, m.size), y.reshape(-1, m.size))
    return y
