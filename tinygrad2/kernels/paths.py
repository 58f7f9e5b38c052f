"""Which implementation works on which arrays: the first row of the table that accepts them.

A row is a condition and the module that holds the functions; every module defines the same names, with the meaning of
`reference.py`. Modules are imported on first use, so that importing the package does not import Numba.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tinygrad2.kernels.backend import Array, why_no_numba

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
