"""MNIST: 70,000 handwritten digits of 28 x 28, read from $TINYGRAD2_DATA/mnist or downloaded once.

Whatever the source, the uncompressed content must have the published files' SHA-256.
Source: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, 1998.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import Dataset
from .files import data_folder
from .idx import read_idx

__all__ = ["mnist"]

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"


class IdxFile(NamedTuple):
    """One published file: the array's shape, the SHA-256 of its uncompressed content, and that of the mirror's .gz."""

    shape: tuple[int, ...]
    content: str
    gz: str


FILES = {
    "train-images-idx3-ubyte": IdxFile(
        (60000, 28, 28),
        content="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        gz="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte": IdxFile(
        (60000,),
        content="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        gz="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte": IdxFile(
        (10000, 28, 28),
        content="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        gz="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte": IdxFile(
        (10000,),
        content="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        gz="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}


def mnist() -> Dataset:
    """MNIST, 60,000 training and 10,000 test images (N, 1, 28, 28), pixels in [0, 255].

    Raises FileNotFoundError where a file is missing and cannot be downloaded, ValueError for a damaged one.
    """
    arrays = [read_idx(_find(name), file.shape, file.content) for name, file in FILES.items()]
    x_train, y_train, x_test, y_test = (
        array.astype(np.int64) if array.ndim == 1 else array[:, None].astype(np.float32) for array in arrays
    )
    return Dataset("mnist", x_train, y_train, x_test, y_test, tuple("0123456789"), box=(0.0, 255.0))


def _find(name: str) -> Path:
    """Where that file is: in the folder, gzipped or plain, or else in the download cache, fetched if need be.

    Raises FileNotFoundError where mnist/ has a file of nearly that name: a misspelt one is no reason to go online.
    """
    folder = data_folder("mnist")
    if folder is None:
        return _download(name + ".gz", FILES[name].gz, "TINYGRAD2_DATA is not set.")
    own = folder / "mnist"
    for path in (own / f"{name}.gz", own / name):
        if path.is_file():
            return path
    looked = f"There is neither {name}.gz nor {name} in {own}, which TINYGRAD2_DATA names"
    others = {path.name for path in own.glob("*")} - {f"{known}{end}" for known in FILES for end in ("", ".gz")}
    if near := get_close_matches(f"{name}.gz", others, 1):
        raise FileNotFoundError(f"mnist: {looked}; is {near[0]!r} misnamed?")
    return _download(name + ".gz", FILES[name].gz, f"{looked}.")


def _download(name: str, sha256: str, looked: str) -> Path:
    """The file in pooch's cache of this user; pooch fetches it if it is absent or damaged there."""
    offline = f"{looked} To go on offline, set TINYGRAD2_DATA to a folder that holds mnist/*.gz, or use load('digits')."
    try:
        import pooch
    except ModuleNotFoundError as missing:
        raise FileNotFoundError(
            f"mnist: downloading {name} needs pooch: pip install 'tinygrad2[lab]'. {offline}"
        ) from missing
    try:
        bar = find_spec("tqdm") is not None
        cache = pooch.os_cache("tinygrad2") / "mnist"
        return Path(pooch.retrieve(MIRROR + name, f"sha256:{sha256}", fname=name, path=cache, progressbar=bar))
    except OSError as reason:  # which every error of the requests library is
        raise FileNotFoundError(f"mnist: could not fetch {MIRROR}{name} ({reason}). {offline}") from reason
    except ValueError as reason:
        raise ValueError(
            f"mnist: what {MIRROR}{name} sends is not the published file ({reason}). {offline}"
        ) from reason
