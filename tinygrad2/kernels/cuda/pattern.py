"""Numbers picked from planes at positions, and placed there: what pools and their patterns do.

Positions at: (N, M, ...) in planes, -1 for none, shared by K*N images of M planes.
"""

from __future__ import annotations

import os

from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.cuda.launch import run


def pick(a: Array, at: Array, y: Array, image: int, channel: int, start: int = 0) -> None:
    """Planes a -> y: (images, M, ...), contiguous, from image `start` on; 0 where there is no position.

    image, channel: how far apart in a the planes of neighbour images and channels are.
    """
    constants, at, numbers = _sizes(y, at, start)
    run("pick", constants, y.size, (a, at, y), image, channel, *numbers)


def place(g: Array, at: Array, a: Array, image: int, channel: int, start: int = 0) -> None:
    """The adjoint of `pick`: g: (images, M, ...), contiguous, is added to planes a, which are 0."""
    constants, at, numbers = _sizes(g, at, start)
    if deterministic():
        run("place_in_order", constants, g.shape[0] * g.shape[1], (g, at, a), image, channel, *numbers)
    else:
        run("place", constants, g.size, (g, at, a.reshape(a.size)), image, channel, *numbers)


def deterministic() -> bool:
    """Whether what adds up at one place does so always in the same order (TINYGRAD2_DETERMINISTIC=1); it is slower."""
    return os.environ.get("TINYGRAD2_DETERMINISTIC", "0") == "1"


def _sizes(values: Array, at: Array, start: int) -> tuple[tuple[int, int], Array, tuple[int, int]]:
    """Channels and wanted entries of a plane; the positions, contiguous int32; their number, and where they start."""
    images, channels = values.shape[:2]
    wanted = values.size // (images * channels)
    at = xp(values).ascontiguousarray(at.astype("int32", copy=False))
    return (channels, wanted), at, (at.size, start * channels * wanted % at.size)
