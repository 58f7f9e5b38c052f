"""Which samples a network classifies as labelled; and how a whole set is worked through in batches.

`progress` wraps the list of batches (tqdm, for instance).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops.functional import check_labels
from tinygrad2.robust.attacks.base import accept, argmax

Progress: TypeAlias = Callable[[list[slice]], Iterable[slice]]


def in_batches(
    f: Callable[[slice], np.ndarray], n: int, batch_size: int = 250, progress: Progress | None = None
) -> np.ndarray:
    """The results of f on consecutive slices of n samples, joined along the first axis. Raises ValueError for n = 0."""
    if n == 0:
        raise ValueError("an empty set of images has no accuracy or robustness")
    slices = [slice(i, min(i + batch_size, n)) for i in range(0, n, batch_size)]
    return np.concatenate([f(part) for part in (progress(slices) if progress else slices)])


def predict(net: Layer, x: np.ndarray, batch_size: int = 250) -> np.ndarray:
    """The predicted classes.

    x: (N, ...); result: (N,), int64

    >>> robust.predict(nn.Flatten(), np.array([[2.0, 1.0], [0.0, 1.0]]))
    array([0, 1])
    """
    with no_grad():
        return in_batches(lambda part: argmax(net(accept(net, x[part]))), len(x), batch_size)


def accuracy(net: Layer, x: np.ndarray, labels: np.ndarray, batch_size: int = 250) -> float:
    """The share of samples that the net classifies as labelled, in [0, 1].

    x: (N, ...); labels: (N,)

    >>> robust.accuracy(nn.Flatten(), np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    check_paired(x, labels)

    def right(part: slice) -> np.ndarray:
        logits = net(accept(net, x[part]))
        correct: np.ndarray = argmax(logits) == check_labels(labels[part], *logits.shape)
        return correct

    with no_grad():
        return float(in_batches(right, len(x), batch_size).mean())


def check_paired(x: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless there is one label for each image."""
    if np.shape(labels) != (len(x),):
        raise ValueError(f"labels: expected shape ({len(x)},), one for each image, got {np.shape(labels)}")
