"""What of a convolution's output is wanted: the entries at some positions, or those that a mask lets through.

A max-pool that follows wants positions, a ReLU a mask. The images of a batch have each their own; further leading axes
of the values (the K cotangents of one image) share them without a copy.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np

from tinygrad2.kernels.arrays import Array, images, xp
from tinygrad2.kernels.geometry import Geometry, Pair


class Positions(NamedTuple):
    """Entries of each output plane, of which some may be dropped and some named twice."""

    at: Array  # (N..., O, PH, PW) int32, positions in OH*OW; -1 for an entry that is dropped: 0, and ignored

    def images(self) -> Positions:
        """The same with one axis of images: (N, O, PH, PW)."""
        return Positions(images(self.at))

    def positions(self) -> Array:
        """(N..., O, PH, PW) int32."""
        return self.at

    def passing(self) -> int:
        """How many entries are wanted."""
        return int(np.count_nonzero(self.at >= 0))

    def plane(self, geo: Geometry) -> Pair:
        """Rows and columns of the wanted entries of an output plane."""
        rows, columns = self.at.shape[-2:]
        return rows, columns


class Mask(NamedTuple):
    """Whole output planes, in which what the mask does not let through is 0."""

    at: Array  # (N..., O, OH, OW) bool

    def images(self) -> Mask:
        """The same with one axis of images: (N, O, OH, OW)."""
        return Mask(images(self.at))

    def beside(self, a: Array) -> Array:
        """a: (K*N, O, OH, OW) as (K, N, O, OH, OW), whose last axes are those of a mask (N, O, OH, OW)."""
        return a.reshape(len(a) // max(len(self.at), 1), *self.at.shape)

    def positions(self) -> Array:
        """The same as positions: (N..., O, OH, OW) int32, -1 where the mask is False."""
        module = xp(self.at)
        plane = module.arange(math.prod(self.at.shape[-2:]), dtype=np.int32).reshape(self.at.shape[-2:])
        return module.where(self.at, plane, np.int32(-1))

    def passing(self) -> int:
        """How many entries are wanted."""
        return int(np.count_nonzero(self.at))

    def plane(self, geo: Geometry) -> Pair:
        """Rows and columns of an output plane."""
        return geo.output


Pattern: TypeAlias = Positions | Mask


def pattern_of(at: Array) -> Pattern:
    """The pattern in an array: int32 positions or a bool mask. TypeError for another dtype or too few axes."""
    if at.ndim >= 3 and at.dtype == np.bool_:
        return Mask(at)
    if at.ndim >= 3 and at.dtype == np.int32:
        return Positions(at)
    raise TypeError(
        "convolution: at must hold int32 positions (..., O, PH, PW), or bools (..., O, OH, OW); "
        f"got {at.dtype}, {at.shape}"
    )


def check_positions(wanted: Positions, geo: Geometry) -> None:
    """IndexError where a position lies outside the output plane of `geo`."""
    at = wanted.at
    # Not on a GPU: looking at the values would stop the host until the device has caught up.
    if not isinstance(at, np.ndarray) or not at.size:
        return
    first = at.min()
    last = at.max()
    pixels = math.prod(geo.output)
    if first < -1 or last >= pixels:
        raise IndexError(
            f"convolution: at holds {first} ... {last}, but positions in {geo.output} are 0 ... {pixels - 1}, "
            "and -1 where an entry is dropped"
        )
