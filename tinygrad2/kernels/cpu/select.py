"""Masks compiled for the CPU: a select without branches, where NumPy's `where` guesses each bit of a ReLU pattern.

One thread does the work: a second one would wake up too late, or wait for memory.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu.jit import alone, shaped
from tinygrad2.kernels.cpu.memory import empty


@alone
def _select(g, m, y):  # type: ignore[no-untyped-def]
    """g: (L, P), m: (P,), shared over L -> y: (L, P)."""
    source = g.reshape(-1)
    target = y.reshape(-1)
    size = m.size
    for k in range(g.shape[0]):
        for p in range(size):
            target[np.uintp(k * size + p)] = source[np.uintp(k * size + p)] if m[np.uintp(p)] else g.dtype.type(0)


def masked(g: NDArray, m: NDArray, out: NDArray | None = None) -> NDArray:
    """g where m passes it, times its weight; 0 elsewhere. out: for the result; it may be g, and is contiguous.

    g: (..., *m.shape), m: bool. The rest, weights and shapes that broadcast, is left to the reference.
    """
    if m.dtype.kind != "b" or not 0 < m.ndim <= g.ndim or g.shape[g.ndim - m.ndim :] != m.shape:
        return reference.masked(g, m)  # type: ignore[no-any-return]
    y = empty(g.shape, g.dtype) if out is None else out
    if y.size:
        _select(shaped(g, y.size // m.size, m.size), shaped(m, m.size), y.reshape(-1, m.size))
    return y
