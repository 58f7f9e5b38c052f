"""New training images from old: each batch is bent, turned, scaled or mirrored afresh, by bilinear sampling.

Every function maps x: (N, C, H, W) to images of the same shape and dtype, and takes its randomness as an argument. What
lies outside an image is its nearest pixel, so no pixel leaves the range of the image's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from .dataset import Dataset

__all__ = ["AUGMENTATIONS", "augment", "elastic", "jitter", "sample"]

Rng: TypeAlias = np.random.Generator | int | Sequence[int]


def elastic(x: np.ndarray, rng: Rng, alpha: float = 34.0, sigma: float = 4.0) -> np.ndarray:
    """Elastic distortions for MNIST: random displacements in [-1, 1], smoothed, and made alpha times as long.

    x: (N, C, H, W); result: like x
    rng: a generator, or a seed
    alpha: in pixels; sigma: standard deviation of the smoothing Gaussian, in pixels, above 0

    Source: Simard, Steinkraus & Platt 2003, section 2, which the smooth gradient method uses.
    """
    n, _, h, w = _shape(x)
    fields = np.random.default_rng(rng).uniform(-1, 1, (2, n, h, w))
    smooth = alpha * (_gaussian(h, sigma) @ fields @ _gaussian(w, sigma))
    return sample(x, np.arange(h)[:, None] + smooth[0], np.arange(w) + smooth[1])


def jitter(x: np.ndarray, rng: Rng, degrees: float = 10.0, zoom: float = 0.1, mirror: bool = True) -> np.ndarray:
    """Rotation, zoom, and mirroring of every other image on average: for CIFAR-10.

    x: (N, C, H, W); result: like x
    rng: a generator, or a seed
    degrees: the rotation is within ±degrees; zoom: the factor is within 1 ± zoom

    Source: the smooth gradient method, section 5.2, which prints no ranges: these are ours.
    """
    n, _, h, w = _shape(x)
    rng = np.random.default_rng(rng)
    angle, scale = (rng.uniform(-r, r, (n, 1, 1)) for r in (math.radians(degrees), zoom))
    side = np.where(mirror & (rng.random((n, 1, 1)) < 0.5), -1.0, 1.0)
    # r and c count pixels from the middle of the image.
    r = (np.arange(h) - (h - 1) / 2)[:, None]
    c = side * (np.arange(w) - (w - 1) / 2)
    cos = np.cos(angle) / (1 + scale)
    sin = np.sin(angle) / (1 + scale)
    return sample(x, cos * r - sin * c + (h - 1) / 2, sin * r + cos * c + (w - 1) / 2)


# By name: (x, rng) ↦ x.
AUGMENTATIONS: dict[str, Callable[[np.ndarray, Rng], np.ndarray]] = {"elastic": elastic, "jitter": jitter}


def augment(dataset: Dataset, name: str, x: np.ndarray, rng: Rng) -> np.ndarray:
    """New images from x, images of the data set. Centred ones stay centred.

    name: one of AUGMENTATIONS, or "none": then the result is x itself
    x: (N, C, H, W); rng: a generator, or a seed; result: like x
    """
    if name == "none":
        return x
    bent = AUGMENTATIONS[name](dataset.pixels(x), rng)
    return bent if dataset.mean is None else bent - dataset.mean


def sample(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """x at these places, bilinearly. x: (N, C, H, W); rows, columns: (N, H', W'); result: (N, C, H', W')."""
    n, _, h, w = _shape(x)
    rows = np.clip(rows, 0, h - 1)
    columns = np.clip(columns, 0, w - 1)
    top, left = (np.floor(at).astype(int) for at in (rows, columns))
    down, right = ((at - low)[:, None].astype(x.dtype) for at, low in ((rows, top), (columns, left)))
    image = np.arange(n)[:, None, None, None]
    channel = np.arange(x.shape[1])[:, None, None]

    def pixel(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        values: np.ndarray = x[image, channel, np.minimum(row, h - 1)[:, None], np.minimum(column, w - 1)[:, None]]
        return values

    above = (1 - right) * pixel(top, left) + right * pixel(top, left + 1)
    below = (1 - right) * pixel(top + 1, left) + right * pixel(top + 1, left + 1)
    between: np.ndarray = (1 - down) * above + down * below
    return between.clip(x.min(), x.max())  # rounding


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """The symmetric matrix that smooths a line of pixels, nothing lying outside: (size, size)."""
    if not sigma > 0:
        raise ValueError(f"sigma: expected a standard deviation above 0 pixels, got {sigma}")
    at = np.arange(size)
    return np.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))


def _shape(x: np.ndarray) -> tuple[int, int, int, int]:
    if x.ndim != 4 or not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"expected floating images (N, C, H, W), got shape {x.shape}, {x.dtype}")
    n, c, h, w = x.shape
    return n, c, h, w
