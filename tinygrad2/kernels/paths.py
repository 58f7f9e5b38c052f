"""Which implementation works on which arrays: the first row of the table that accepts them.

A row is a condition and the module that holds the functions; every module defines the same names, with the meaning of
`reference.py`. Modules are imported on first use, so that importing the package does not import Numba. Whether a
convolution follows the pattern of its outputs is decided by a second table, of measured limits.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels.arrays import Array, why_no_numba
from tinygrad2.kernels.geometry import Geometry

FAST_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def compiled(*arrays: Array) -> bool:
    """NumPy arrays of one real floating dtype, where Numba works."""
    first = arrays[0].dtype
    return (
        first in FAST_DTYPES
        and all(isinstance(a, np.ndarray) and a.dtype == first for a in arrays)
        and why_no_numba() is None
    )


PATHS: tuple[tuple[Callable[..., bool], str], ...] = (
    (compiled, "tinygrad2.kernels.cpu"),
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


ALONE = Pays(window=128, image=1 << 16, share=0.3)
SHARED = Pays(window=128, image=1 << 16, share=0.6)  # by K >= SHARING images, which meet the filters in the cache
SHARING = 5


def convolution_path(geo: Geometry, channels: int, images: int, at: Array | None, *arrays: Array) -> ModuleType:
    """The module that should do a convolution. channels: of a filter, C/groups; at: (N, O, PH, PW), or None for all.

    images: K*N, where K images share each pattern.
    """
    if not compiled(*arrays):
        return path(*arrays)
    kind = "pattern" if follows(geo, channels, images, at, *arrays) else "conv"
    return importlib.import_module(f"tinygrad2.kernels.cpu_{kind}")


def follows(geo: Geometry, channels: int, images: int, at: Array | None, *arrays: Array) -> bool:
    """Whether a pattern of positions or bools should be followed, rather than everything computed."""
    if at is None or not compiled(*arrays):
        return False
    pays = SHARED if images >= SHARING * len(at) else ALONE
    window, image = channels * math.prod(geo.kernel), channels * math.prod(geo.padded)
    pixels = math.prod(geo.output)
    if window < pays.window or image > pays.image or pixels == 1:  # a single pixel is a product of matrices
        return False
    most = pays.share * at.shape[0] * at.shape[1] * pixels
    return at.size <= most or bool(np.count_nonzero(at if at.dtype == np.bool_ else at >= 0) <= most)
