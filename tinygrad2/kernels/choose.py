"""Which implementation does the work: the first row of a table whose conditions hold.

    arrays                            |                         | implementation
    ----------------------------------|-------------------------|-----------------------------------------
    NumPy, float32 or float64,        | convolution, where a    | cpu/pattern.py: only what is wanted
    Numba works                       | pattern pays (`Pays`)   |
    the same                          | everything              | cpu: compiled
    CuPy, the same dtypes,            | everything              | cuda: compiled, and cuBLAS
    numba-cuda works                  |                         |
    complex, integer, no Numba        | everything              | reference.py: NumPy or CuPy

All have the meaning of `reference.py`. The compiled ones are imported when they are first chosen, so that importing the
package does not import Numba.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import Array, why_no_cuda_kernels, why_no_numba
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.once import once
from tinygrad2.kernels.pattern import Mask, Pattern

FAST_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Convolution(Protocol):
    """The convolution family. Images have one leading axis, K*N, and the pattern's N: K images share each pattern."""

    def conv2d(self, x: Array, w: Array, geo: Geometry, pattern: Pattern | None) -> Array:
        """x: (K*N, C, H, W), w: (O, C/groups, kh, kw) -> (K*N, O, OH, OW), or the wanted (K*N, O, PH, PW)."""

    def conv2d_input(self, g: Array, w: Array, geo: Geometry, pattern: Pattern | None) -> Array:
        """g: like the result of conv2d, w: (O, C/groups, kh, kw) -> (K*N, C, H, W)."""

    def conv2d_weight(self, x: Array, g: Array, geo: Geometry, pattern: Pattern | None) -> Array:
        """x: (K*N, C, H, W), g: like the result of conv2d -> (O, C/groups, kh, kw)."""


class Implementation(Convolution, Protocol):
    """All kernels, for arrays of one device whose shapes fit: who calls has checked that."""

    def product(self, a: Array, b: Array, sharing: int) -> Array:
        """a: (M, K), b: (K, N) -> (M, N). sharing: so many blocks of rows of a are likely 0 at the same places."""

    def masked(self, g: Array, m: Array) -> Array:
        """g: (..., *m.shape) or any shape that broadcasts, times the mask m, bool or weights; 0 where it is 0."""

    def pool_argmax(self, x: Array, geo: Geometry) -> Array:
        """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W."""

    def pool_gather(self, x: Array, idx: Array) -> Array:
        """x: (L, M, H*W), idx: (M, P) -> (L, M, P)."""

    def pool_scatter(self, g: Array, idx: Array, size: int) -> Array:
        """g: (L, M, P), idx: (M, P) -> (L, M, size)."""

    def avg_pool2d(self, x: Array, geo: Geometry) -> Array:
        """x: (N, C, H, W) -> (N, C, OH, OW)."""

    def avg_unpool2d(self, g: Array, geo: Geometry) -> Array:
        """g: (N, C, OH, OW) -> (N, C, H, W)."""

    def softmax(self, x: Array, axis: int) -> Array:
        """x: any shape -> y, the same shape."""

    def log_softmax(self, x: Array, axis: int) -> Array:
        """x: any shape -> log y, the same shape."""

    def centered(self, x: Array, g: Array, axis: int) -> Array:
        """x, g: one shape -> g - Σ y g."""

    def unmixed(self, x: Array, u: Array, axis: int) -> Array:
        """x, u: one shape -> u - y Σ u."""


@once
def implementation(kind: type, *dtypes: np.dtype[Any]) -> Implementation:
    """For arrays of the type `kind` (`np.ndarray` or CuPy's) and of these dtypes."""
    if not any(all(dtype == one for dtype in dtypes) for one in FAST_DTYPES):
        return reference
    if issubclass(kind, np.ndarray):
        return reference if why_no_numba() else _cpu()
    return reference if why_no_cuda_kernels() else _cuda()


def _cpu() -> Implementation:
    from tinygrad2.kernels import cpu

    return cpu


def _cuda() -> Implementation:
    from tinygrad2.kernels import cuda

    return cuda


class Pays(NamedTuple):
    """Where following the pattern is faster than computing everything with one matrix product, as measured."""

    window: int  # numbers in a filter, C/groups*kh*kw, at least: short loops do not keep the vector units busy
    image: int  # numbers in a padded image, at most: it must stay in the second-level cache
    share: float  # of the outputs that are wanted, at most


ALONE = Pays(window=128, image=1 << 16, share=0.3)
SHARED = Pays(window=128, image=1 << 16, share=0.6)  # by K >= SHARING images, which meet the filters in the cache
SHARING = 5


def convolution(geo: Geometry, channels: int, images: int, pattern: Pattern | None, a: Array, b: Array) -> Convolution:
    """For the arrays a and b. channels: of a filter, C/groups; images: K*N, where K images share each pattern."""
    chosen = implementation(type(a), a.dtype, b.dtype)
    if pattern is None or chosen is reference or not isinstance(a, np.ndarray):
        return chosen
    if not follows(geo, channels, images, pattern):
        return chosen
    from tinygrad2.kernels.cpu import pattern as only_wanted

    return only_wanted


def filters(geo: Geometry, channels: int, images: int, pattern: Pattern | None, a: Array, b: Array) -> Convolution:
    """The same for `conv2d_weight`. A mask lets through about a half: too much for it to gain by following the mask."""
    return convolution(geo, channels, images, None if isinstance(pattern, Mask) else pattern, a, b)


def follows(geo: Geometry, channels: int, images: int, pattern: Pattern) -> bool:
    """Whether computing only what is wanted is faster than computing everything."""
    n, outputs = pattern.at.shape[:2]
    pays = SHARED if images >= SHARING * n else ALONE
    pixels = math.prod(geo.output)
    if channels * math.prod(geo.kernel) < pays.window or channels * math.prod(geo.padded) > pays.image or pixels == 1:
        return False  # a single pixel is a product of matrices
    most = pays.share * n * outputs * pixels
    return bool(pattern.at.size <= most) or pattern.passing() <= most
