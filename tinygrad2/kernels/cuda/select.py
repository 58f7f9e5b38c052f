"""Masks on the GPU."""

from __future__ import annotations

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.cuda.launch import run


def masked(g: Array, m: Array) -> Array:
    """g where m passes it, times its weight; 0 elsewhere. g: (..., *m.shape), m: bool.

    The rest, weights and shapes that broadcast, is left to the reference.
    """
    if m.dtype.kind != "b" or not 0 < m.ndim <= g.ndim or g.shape[g.ndim - m.ndim :] != m.shape:
        return reference.masked(g, m)
    module = xp(g)
    y = module.empty(g.shape, g.dtype)
    run("select", (), y.size, (module.ascontiguousarray(g), module.ascontiguousarray(m), y), m.size)
    return y
