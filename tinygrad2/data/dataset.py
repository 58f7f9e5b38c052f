"""A data set: four arrays, the names of the classes, and what the numbers in the images mean.

Pixels are either raw, inside a stated box, or centred: the Deep Defense paper's preprocessing, pixels 0-255 minus the
per-pixel mean of the training images.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["Dataset", "centre", "check_images", "raw", "unit"]


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Images and labels, checked once when they come together.

    name: as in `load(name)`
    x_train, x_test: (N, C, H, W) or (N, D), float32
    y_train, y_test: (N,), int64, an index into classes
    classes: the names of the K classes
    box: (lo, hi), the range of the raw pixels; None where every entry has a range of its own: once centred, or sound
    mean: (C, H, W) or (D,), float32, what centring subtracted; None while the pixels are raw
    range: (lo, hi), of what `pixels` gives, which centring keeps; None where it is not known. By itself: the box
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    box: tuple[float, float] | None = None
    mean: np.ndarray | None = None
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.range is None:
            object.__setattr__(self, "range", self.box)
        for split, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            for what, array, dtype in ((f"x_{split}", x, np.float32), (f"y_{split}", y, np.int64)):
                if getattr(array, "dtype", None) != dtype:
                    found = getattr(array, "dtype", type(array).__name__)
                    raise TypeError(f"{self.name}: {what}: expected a {np.dtype(dtype)} array, got {found}")
            check_images(x, y, num_classes=len(self.classes), box=self.box, name=f"{self.name}: x_{split}")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            shapes = f"{self.x_train.shape[1:]} for training and {self.x_test.shape[1:]} for testing"
            raise ValueError(f"{self.name}: expected images of one shape, got {shapes}")
        if self.mean is not None and self.mean.shape != self.x_train.shape[1:]:
            raise ValueError(
                f"{self.name}: mean: expected one image's shape {self.x_train.shape[1:]}, got {self.mean.shape}"
            )

    def __repr__(self) -> str:
        pixels = "centred" if self.mean is not None else f"pixels in {self.box}" if self.box else "no box"
        return (
            f"Dataset({self.name!r}: {len(self.x_train):,} training and {len(self.x_test):,} test images "
            f"{self.x_train.shape[1:]}, {len(self.classes)} classes, {pixels})"
        )

    def subset(self, n_train: int | None = None, n_test: int | None = None) -> Dataset:
        """The first n_train training and n_test test images, as views; None keeps all. Raises ValueError."""
        limits = []
        for what, n, have in (("n_train", n_train, len(self.x_train)), ("n_test", n_test, len(self.x_test))):
            limits.append(have if n is None else operator.index(n))
            if not 1 <= limits[-1] <= have:
                raise ValueError(f"{self.name}: subset: {what}: expected 1 to {have:,}, got {n}")
        train, test = limits
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """Raw pixels to look at: x with the mean that `centre` subtracted added back. x: (N, C, H, W) or one image."""
        return x if self.mean is None else x + self.mean


def centre(dataset: Dataset) -> Dataset:
    """The data set with the per-pixel mean of its training images subtracted from every image.

    Source: Deep Defense, Yan, Guo & Zhang, NeurIPS 2018, preprocessing. Raises ValueError if it is centred already.

    >>> data.centre(data.load("digits"))
    Dataset('digits': 1,437 training and 360 test images (1, 8, 8), 10 classes, centred)
    """
    if dataset.mean is not None:
        raise ValueError(f"{dataset.name}: already centred; centring twice would lose the mean that `pixels` needs")
    # Summed in float64: a float32 sum over 60,000 images is off in the fifth digit.
    mean = dataset.x_train.mean(axis=0, dtype=np.float64).astype(np.float32)
    return replace(dataset, x_train=dataset.x_train - mean, x_test=dataset.x_test - mean, box=None, mean=mean)


def raw(dataset: Dataset) -> Dataset:
    """The data set as it is."""
    return dataset


def unit(dataset: Dataset) -> Dataset:
    """The data set with pixels in [0, 1]. Raises ValueError where there is no box to scale.

    >>> data.unit(data.load("digits")).box
    (0.0, 1.0)
    """
    if dataset.box is None:
        raise ValueError(f"{dataset.name}: no box of pixels to scale to [0, 1]; leave them raw, or centre them")
    low = np.float32(dataset.box[0])
    scale = np.float32(1 / (dataset.box[1] - dataset.box[0]))
    x_train, x_test = (((x - low) * scale).clip(0, 1) for x in (dataset.x_train, dataset.x_test))
    return replace(dataset, x_train=x_train, x_test=x_test, box=(0.0, 1.0), range=(0.0, 1.0))


def check_images(
    x: np.ndarray,
    labels: np.ndarray | None = None,
    num_classes: int | None = None,
    box: tuple[float, float] | None = None,
    name: str = "images",
) -> None:
    """Raise ValueError or TypeError that names the first image or label that no network should be given.

    x: (N, C, H, W) or (N, D), floating, N >= 1, finite, inside box if there is one
    labels: (N,), integers in [0, num_classes)
    box: lowest and highest pixel
    name: how the message calls x

    >>> data.check_images(np.array([[0.0, 2.0]]), box=(0.0, 1.0))
    Traceback (most recent call last):
    ValueError: images: expected pixels in [0, 1], got 2 in image 0 at (1,) (1 such of 1)
    """
    if x.ndim not in (2, 4):
        raise ValueError(f"{name}: expected shape (N, C, H, W) or (N, D), got {x.shape}")
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(f"{name}: expected float32 or float64 pixels, got {x.dtype}; convert with .astype(np.float32)")
    if x.size == 0:
        raise ValueError(f"{name}: expected at least one image and one pixel, got the empty shape {x.shape}")
    finite = np.isfinite(x)
    if not finite.all():
        _raise_first_pixel(name, x, ~finite, "finite pixels")
    if box is not None and (x.min() < box[0] or x.max() > box[1]):
        _raise_first_pixel(name, x, (x < box[0]) | (x > box[1]), f"pixels in [{box[0]:g}, {box[1]:g}]")
    if labels is not None:
        _check_labels(name, len(x), labels, num_classes)


def _raise_first_pixel(name: str, x: np.ndarray, bad: np.ndarray, expected: str) -> None:
    first = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
    count = int(bad.reshape(len(x), -1).any(axis=1).sum())
    where = f"in image {first[0]} at {first[1:]} ({count} such of {len(x)})"
    raise ValueError(f"{name}: expected {expected}, got {_exact(x[first])} {where}")


def _exact(value: np.floating[Any]) -> str:
    """Six digits, or all of them where six would be another number: 1.0000001 is not 1."""
    short = f"{value:g}"
    return short if value.dtype.type(short) == value or value != value else str(value)


def _check_labels(name: str, n: int, labels: np.ndarray, num_classes: int | None) -> None:
    if labels.shape != (n,):
        raise ValueError(f"{name}: labels: expected shape ({n},), one for each image, got {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{name}: labels: expected integers, got {labels.dtype}; convert with .astype(np.int64)")
    bad = labels < 0 if num_classes is None else (labels < 0) | (labels >= num_classes)
    if bad.any():
        first = int(bad.argmax())
        top = "" if num_classes is None else f" to {num_classes - 1}"
        raise ValueError(f"{name}: labels: expected 0{top or ' or more'}, got {labels[first]} for image {first}")
