"""Which entries pass: the product with a mask, on the path that suits where it lives."""

from __future__ import annotations

import importlib

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.paths import compiled


def masked(g: Array, m: Array, spare: bool = False) -> Array:
    """g where the mask passes it, times its weight; 0 where it is 0, even if g is infinite or nan there.

    g: (..., *m.shape), or any shape that broadcasts; m: bool, or a weight for each entry. spare: nobody else has g,
    which is contiguous, and its memory may be used for the result.
    """
    if m.dtype.kind == "b" and g.shape[g.ndim - m.ndim :] == m.shape and g.ndim >= m.ndim > 0 and compiled(g):
        return importlib.import_module("tinygrad2.kernels.cpu_select").masked(g, m, g if spare else None)
    return reference.masked(g, m)
