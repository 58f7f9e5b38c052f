"""Data sets of the user's own: an .npz file of arrays, or a folder of images with a folder for each class."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .dataset import Dataset

__all__ = ["from_folder", "from_npz", "is_path"]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("box", "classes")
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
Labelled: TypeAlias = tuple[Path, int]  # an image and its class

EVERY = 5  # of the images of a class, where the folder has no test/: the fifth, tenth ... are test images


def is_path(name: str) -> bool:
    """Whether the name is that of an .npz file or of a folder, rather than that of a known data set."""
    return name.endswith(".npz") or Path(name).is_dir()


def from_npz(path: str) -> Dataset:
    """The data set in an .npz file.

    The file holds x_train, x_test: (N, C, H, W) or (N, D); y_train, y_test: (N,), integers from 0; and maybe
    box: (2,), lowest and highest pixel; classes: (K,), their names. Numbers become float32; uint8 has the box (0, 255).

    Raises FileNotFoundError, and ValueError or TypeError that names the file. Nothing in the file is executed.
    """
    arrays = _arrays(Path(path))
    for name in ARRAYS:
        expected, kinds = ("numbers", "uif") if name.startswith("x") else ("integers", "ui")
        if arrays[name].dtype.kind not in kinds:
            raise TypeError(f"{path}: {name}: expected {expected}, got {arrays[name].dtype}")
        if not arrays[name].size:
            raise ValueError(f"{path}: {name}: expected at least one sample, got shape {arrays[name].shape}")
    x_train, x_test = (arrays[name].astype(np.float32) for name in ("x_train", "x_test"))
    y_train, y_test = (arrays[name].astype(np.int64) for name in ("y_train", "y_test"))
    k = 1 + max(int(y_train.max()), int(y_test.max()), 1)
    classes = tuple(map(str, arrays.get("classes", np.arange(k))))
    box = _box(path, arrays)
    return Dataset(path, x_train, y_train, x_test, y_test, classes, box=box)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """What the file holds, if it is what it should be."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file of data: {path} (looked for in {Path.cwd()})")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged bytes can raise anything in a parser
        raise ValueError(f"{path} is not a readable .npz file of plain arrays (damaged?): {error}") from None
    expected = f"expected {', '.join(ARRAYS)}, and maybe {', '.join(OPTIONAL)}"
    for name in ARRAYS:
        if name not in arrays:
            raise ValueError(f"{path} holds no {name}; {expected}")
    for name in arrays:
        if name not in (*ARRAYS, *OPTIONAL):
            raise ValueError(f"{path} holds {name!r} too; {expected}")
    return arrays


def _box(path: str, arrays: dict[str, np.ndarray]) -> tuple[float, float] | None:
    """The range of the pixels, where the file says it."""
    box = arrays.get("box")
    if box is None:
        return (0.0, 255.0) if arrays["x_train"].dtype == np.uint8 else None
    if box.shape != (2,) or box.dtype.kind not in "uif" or not box[0] < box[1]:
        raise ValueError(f"{path}: box: expected the lowest and the highest pixel, got {box}")
    return float(box[0]), float(box[1])


def from_folder(path: str, size: int | None = None) -> Dataset:
    """The images in a folder that has a folder for each class, scaled to one size, pixels in [0, 255].

    path: holds CLASS/image.png ..., or train/CLASS/... and test/CLASS/...; without test/, every fifth image of a class,
        in the order of the names, is a test image
    size: side of the square that images are scaled to; needed where they differ in size
    Result: images (N, 1, H, W) if all are grey, otherwise (N, 3, H, W).
    Raises ModuleNotFoundError without Pillow, ValueError that names the image.
    """
    classes, *parts = _found(Path(path))
    for name, part in zip(("training", "test"), parts, strict=True):
        if not part:
            raise ValueError(f"{path}: expected {name} images, found none; a class needs at least {EVERY} images")
    pictures = [[_read(p, size) for p, _ in part] for part in parts]
    grey = all((image == image[:1]).all() for part in pictures for image in part)
    x_train, x_test = (_stacked([p for p, _ in part], i, grey) for part, i in zip(parts, pictures, strict=True))
    y_train, y_test = (np.array([k for _, k in part], np.int64) for part in parts)
    return Dataset(path, x_train, y_train, x_test, y_test, classes, box=(0.0, 255.0))


def _found(root: Path) -> tuple[tuple[str, ...], list[Labelled], list[Labelled]]:
    """The names of the classes, and the training and test images with their classes."""
    split = (root / "train").is_dir() and (root / "test").is_dir()
    top = root / "train" if split else root
    classes = tuple(sorted(p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(classes) < 2:
        raise ValueError(f"{top}: expected at least two folders, one for each class, got {len(classes)}")
    train = _images(top, classes)
    if split:
        return classes, list(chain(*train)), list(chain(*_images(root / "test", classes)))
    held = [own[EVERY - 1 :: EVERY] for own in train]
    kept = [[image for i, image in enumerate(own, 1) if i % EVERY] for own in train]
    return classes, list(chain(*kept)), list(chain(*held))


def _images(folder: Path, classes: tuple[str, ...]) -> list[list[Labelled]]:
    """The images of each class, in the order of their names."""
    files = [sorted((folder / name).glob("*")) for name in classes]
    return [[(p, k) for p in own if p.suffix.lower() in IMAGES] for k, own in enumerate(files)]


def _read(path: Path, size: int | None) -> np.ndarray:
    """One image in colour, (3, H, W), float32, 0-255."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise ModuleNotFoundError("a folder of images needs Pillow: pip install 'tinygrad2[lab]'") from None
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
            if size is not None:
                picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            return np.moveaxis(np.asarray(picture, np.float32), -1, 0)
    except Exception as error:  # damaged bytes can raise anything in a decoder
        raise ValueError(f"{path} is not a readable image: {error}") from None


def _stacked(paths: list[Path], images: list[np.ndarray], grey: bool) -> np.ndarray:
    """All images as one array. Raises ValueError where they differ in size."""
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            sizes = " and ".join("x".join(map(str, i.shape[1:])) for i in (images[0], image))
            raise ValueError(f"{path}: images of sizes {sizes}; choose one: data.size=32")
    return np.stack(images)[:, : 1 if grey else 3]
