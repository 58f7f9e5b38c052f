"""Which samples a network classifies as labelled."""

from __future__ import annotations

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.batches import in_batches
from tinygrad2.robust.evaluation import classify, correct


def predict(net: Layer, x: np.ndarray, batch_size: int = 250) -> np.ndarray:
    """The predicted classes, in evaluation mode.

    x: (N, ...); result: (N,), int64. Raises ValueError for logits that are not finite.

    >>> robust.predict(nn.Flatten(), np.array([[2.0, 1.0], [0.0, 1.0]]))
    array([0, 1])
    """
    return in_batches(lambda part: classify(net, x[part])[1], len(x), batch_size)


def accuracy(net: Layer, x: np.ndarray, labels: np.ndarray, batch_size: int = 250) -> float:
    """The share of samples that the net, in evaluation mode, classifies as labelled, in [0, 1].

    x: (N, ...); labels: (N,). Raises ValueError for logits that are not finite, and for labels that do not fit.

    >>> robust.accuracy(nn.Flatten(), np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    check_paired(x, labels)
    return float(in_batches(lambda part: correct(net, x[part], labels[part]), len(x), batch_size).mean())


def check_paired(x: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless there is one label for each image."""
    if np.shape(labels) != (len(x),):
        raise ValueError(f"labels: expected shape ({len(x)},), one for each image, got {np.shape(labels)}")
