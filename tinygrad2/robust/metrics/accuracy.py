"""Which samples a network classifies as labelled."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import no_grad
from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.base import accept, argmax, correct
from tinygrad2.robust.batches import in_batches


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
    return float(in_batches(lambda part: correct(net, x[part], labels[part]), len(x), batch_size).mean())


def check_paired(x: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless there is one label for each image."""
    if np.shape(labels) != (len(x),):
        raise ValueError(f"labels: expected shape ({len(x)},), one for each image, got {np.shape(labels)}")
