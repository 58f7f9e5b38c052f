"""Which class each image is to be turned into, by the names that are usual: a class, next, least-likely, a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.batches import in_batches
from tinygrad2.robust.evaluation import classify
from tinygrad2.robust.types import Integers

NAMED = ("next", "least-likely")


def find_targets(name: str, net: Layer, x: np.ndarray, labels: Integers, classes: Sequence[str]) -> Integers:
    """The class that each image is to reach: (N,), int64.

    name: one for all images, by its name or its number from 0; "next", the class after the label; "least-likely", the
        class of the smallest logit at x (Kurakin et al. 2017); or the path of an .npy file of N integers
    x: (N, ...); labels: (N,); classes: the names of the K classes
    Raises ValueError for what is no class, and FileNotFoundError.
    """
    n, k = len(x), len(classes)
    if name in classes:
        return np.full(n, classes.index(name))
    if name.isdecimal() and int(name) < k:
        return np.full(n, int(name))
    if name == "next":
        return (labels + 1) % k
    if name == "least-likely":
        return in_batches(lambda part: classify(net, x[part])[0].numpy().argmin(1), n)
    if name.endswith(".npy"):
        return _from_file(Path(name), n, k)
    shown = ", ".join(classes[:10]) + (" ..." if k > 10 else "")
    raise ValueError(
        f"targets: expected a class ({shown}, or its number, 0 to {k - 1}), {', '.join(NAMED)} or an .npy file; "
        f"got {name!r}"
    )


def _from_file(path: Path, n: int, k: int) -> Integers:
    """N classes from a file. Raises ValueError and FileNotFoundError that name it."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file of targets: {path} (looked for in {Path.cwd()})")
    try:
        found = np.load(path, allow_pickle=False)
    except Exception as error:  # damaged bytes can raise anything in a parser
        raise ValueError(f"{path} is not a readable .npy file of an array (damaged?): {error}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "ui" or found.shape != (n,):
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "several arrays"
        raise ValueError(f"{path}: expected {n} integers, one for each image that is attacked, got {got}")
    bad = np.flatnonzero((found < 0) | (found >= k))
    if bad.size:
        raise ValueError(f"{path}: expected classes from 0 to {k - 1}, got {found[bad[0]]} at {bad[0]}")
    targets: Integers = found.astype(np.int64)
    return targets
