"""Data sets as plain NumPy arrays, and the few things every experiment does with them.

`load("digits")` works offline; `load("mnist")` reads the folder that TINYGRAD2_DATA names, or downloads; the others
read that folder.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from .augmentation import AUGMENTATIONS, augment, elastic, jitter
from .batching import batches
from .cifar10 import cifar10
from .dataset import Dataset, centre, check_images, unit
from .digits import digits
from .mnist import mnist
from .speech import mfcc, speech
from .whitening import whiten

__all__ = [
    "AUGMENTATIONS",
    "LOADERS",
    "PIXELS",
    "Dataset",
    "augment",
    "batches",
    "centre",
    "check_images",
    "cifar10",
    "digits",
    "elastic",
    "jitter",
    "load",
    "mfcc",
    "mnist",
    "speech",
    "unit",
    "whiten",
]

LOADERS: dict[str, Callable[..., Dataset]] = {"digits": digits, "mnist": mnist, "cifar10": cifar10, "speech": speech}
# What pixels 0-255 are made into before training.
PIXELS: dict[str, Callable[[Dataset], Dataset]] = {"centred": centre, "unit": unit, "whitened": whiten}


def load(name: str, **options: Any) -> Dataset:
    """The data set of that name, with pixels in [0, 255], or with features.

    name: one of LOADERS; options: of that data set
    Raises ValueError for an unknown name, TypeError for an option that the data set does not have.

    >>> data.load("digits", upsample=28)
    Dataset('digits': 1,437 training and 360 test images (1, 28, 28), 10 classes, pixels in (0.0, 255.0))
    """
    if not isinstance(name, str):
        raise TypeError(f"load: name: expected a string, one of {', '.join(LOADERS)}; got {type(name).__name__}")
    if name not in LOADERS:
        nearest = difflib.get_close_matches(name.lower(), LOADERS, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ValueError(f"load: there is no data set {name!r}; {hint}known names: {', '.join(LOADERS)}")
    known = inspect.signature(LOADERS[name]).parameters
    if unknown := [option for option in options if option not in known]:
        raise TypeError(f"load({name!r}): no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    return LOADERS[name](**options)
