"""Which implementation works on which arrays: the first row of the table that accepts them.

A row is a condition and the module that holds the functions; every module defines the same names, with the meaning of
`reference.py`. Modules are imported on first use, so that importing the package does not import Numba. Whether a
convolution follows the pattern of its outputs or computes them all is decided by a second table, of measured limits.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels.backend import Array, why_no_numba
from tinygrad2.kernels.geometry import Geometry, Shape

FAST_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _compiled(*arrays: Array) -> bool:
    """NumPy arrays of one real floating dtype, where Numba works."""
    first = arrays[0].dtype
    return (
        first in FAST_DTYPES
        and all(isinstance(a, np.ndarray) and a.dtype == first for a in arrays)
        and why_no_numba() is None
    )


PATHS: tuple[tuple[Callable[..., bool], str], ...] = (
    (_compiled, "tinygrad2.kernels.cpu"),
    (lambda *arrays: True, "tinygrad2.kernels.reference"),  # CuPy, complex, integer, or no Numba
)


def path(*arrays: Array) -> ModuleType:
    """The module that should work on these arrays."""
    return importlib.import_module(next(module for accepts, module in PATHS if accepts(*arrays)))


class Pays(NamedTuple):
    """Where following the pattern is faster than computing everything with one matrix product, as measured."""

    window: int  # numbers in a filter, C/groups*kh*kw, at least: short loops do not keep the vector units busy
    image: int  # numbers in a padded image, at most: it must stay in the second-level cache
    share: float  # of the outputs let through, at most


ALONE = Pays(window=128, image=1 << 17, share=0.3)
SHARED = Pays(window=128, image=1 << 17, share=0.6)  # by K >= SHARING images, which meet the filters in the cache
SHARING = 4


def pattern_path(geo: Geometry, w: Shape, at: Array, lead: int, *arrays: Array) -> ModuleType | None:
    """The module that works on the entries of `at` alone, or None where the dense convolution is as fast.

    w: the shape of the filters; at: (..., O, PH, PW); lead: images that share each pattern (K).
    """
    pays = SHARED if lead >= SHARING else ALONE
    window, image = math.prod(w[1:]), w[1] * math.prod(geo.padded)
    if window < pays.window or image > pays.image or not _compiled(*arrays):
        return None
    dense = math.prod(at.shape[:-2]) * math.prod(geo.output)
    if at.size > pays.share * dense and np.count_nonzero(at >= 0) > pays.share * dense:
        return None
    return importlib.import_module("tinygrad2.kernels.cpu_pattern")
