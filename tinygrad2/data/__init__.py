"""Data sets as plain NumPy arrays, and the few things every experiment does with them.

`load("digits")` works offline; `load("mnist")` reads the folder that TINYGRAD2_DATA names, or downloads; the others
read that folder. `load("mine.npz")` and `load("photos/", size=32)` read data of your own.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from .augmentation import AUGMENTATIONS, augment, elastic, jitter
from .batching import batches
from .cifar10 import cifar10
from .dataset import Dataset, centre, check_images, raw, unit
from .digits import digits
from .mnist import mnist
from .own import from_folder, from_npz, is_path
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
    "from_folder",
    "from_npz",
    "is_path",
    "jitter",
    "load",
    "mfcc",
    "mnist",
    "raw",
    "speech",
    "unit",
    "whiten",
]

LOADERS: dict[str, Callable[..., Dataset]] = {"digits": digits, "mnist": mnist, "cifar10": cifar10, "speech": speech}
# What pixels are made into before training.
PIXELS: dict[str, Callable[[Dataset], Dataset]] = {"centred": centre, "unit": unit, "whitened": whiten, "raw": raw}


def load(name: str, **options: Any) -> Dataset:
    """The data set of that name, with pixels in [0, 255], or with features.

    name: one of LOADERS, the path of an .npz file, or that of a folder of images; options: of that data set
    Raises ValueError for an unknown name, TypeError for an option that the data set does not have.

    >>> data.load("digits", upsample=28)
    Dataset('digits': 1,437 training and 360 test images (1, 28, 28), 10 classes, pixels in (0.0, 255.0))
    """
    if not isinstance(name, str):
        raise TypeError(f"load: name: expected a string, one of {', '.join(LOADERS)}; got {type(name).__name__}")
    if name not in LOADERS and is_path(name):
        return _load(name, from_npz if name.endswith(".npz") else from_folder, options, path=name)
    if name not in LOADERS:
        nearest = difflib.get_close_matches(name.lower(), LOADERS, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ValueError(f"load: there is no data set {name!r}; {hint}known names: {', '.join(LOADERS)}")
    return _load(name, LOADERS[name], options)


def _load(name: str, loader: Callable[..., Dataset], options: dict[str, Any], **given: str) -> Dataset:
    """What the loader gives. Raises TypeError for an option that it does not have."""
    known = [option for option in inspect.signature(loader).parameters if option not in given]
    if unknown := [option for option in options if option not in known]:
        raise TypeError(f"load({name!r}): no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    return loader(**given, **options)
