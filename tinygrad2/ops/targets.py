"""Cross-entropy against more than one label for each sample: distributions, weights of classes, ignored samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.kernels.arrays import to_device, to_numpy
from tinygrad2.ops.elementwise import add, multiply, negative, where
from tinygrad2.ops.reduce import sum
from tinygrad2.ops.softmax import log_softmax


def as_array(labels: Any) -> np.ndarray[Any, Any]:
    """The labels, a Tensor, an array or a list, as a NumPy array of any shape."""
    given = labels.array if isinstance(labels, Tensor) else labels
    return np.asarray(given) if isinstance(given, list | tuple) else to_numpy(given)


def one_hot(labels: np.ndarray[Any, Any], kept: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    """(N, K): 1 at the label of each sample that is kept, (N,) bools, and 0 elsewhere. like: the logits (N, K)."""
    rows = (labels[:, None] == np.arange(like.shape[1])) & kept[:, None]
    return Tensor(to_device(rows.astype(like.dtype), like.device))


def distribution_loss(
    logits: Tensor, target: Tensor, weight: TensorLike | None, label_smoothing: float, kept: Tensor | None = None
) -> Tensor:
    """-Σ_c weight_c q_c log softmax(logits)_c of each sample, with q = (1-s) target + s/K: (N,).

    logits, target: (N, K); weight: (K,); kept: (N, 1), 0 for a sample that takes no part.
    """
    classes = logits.shape[1]
    if target.shape != logits.shape:
        raise ValueError(
            f"cross_entropy: probabilities must have the logits' shape {logits.shape}; got shape {target.shape}"
        )
    q = target
    if label_smoothing:
        q = add(multiply(q, 1.0 - label_smoothing), label_smoothing / classes)
        q = q if kept is None else multiply(q, kept)
    log_p = log_softmax(logits, 1)
    # 0 log 0 is 0: a class that is masked out by a logit -inf, and is not asked for, costs nothing.
    counted = Tensor((q.array != 0) | (log_p.array != -math.inf))
    terms = multiply(q, where(counted, log_p, 0.0))
    if weight is not None:
        terms = multiply(terms, class_weights(weight, logits))
    return negative(sum(terms, 1))


def class_weights(weight: TensorLike, logits: Tensor) -> Tensor:
    """The weights (K,) as a Tensor of the logits' dtype. ValueError for another number of them."""
    w = weight if isinstance(weight, Tensor) else Tensor(np.asarray(weight, logits.dtype)).to(logits.device)
    if w.shape != logits.shape[1:]:
        raise ValueError(f"cross_entropy: weight must have shape {logits.shape[1:]}, one for each class; got {w.shape}")
    return w
