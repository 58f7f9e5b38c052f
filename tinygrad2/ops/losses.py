"""Losses, and what they need of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.arrays import device_of, to_device, to_numpy
from tinygrad2.ops import targets
from tinygrad2.ops.elementwise import add, divide, multiply, negative, subtract, where
from tinygrad2.ops.families import pool_gather
from tinygrad2.ops.reduce import mean, sum
from tinygrad2.ops.shape import gather, reshape
from tinygrad2.ops.softmax import log_softmax, logsumexp

__all__ = ["cross_entropy"]

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean, "sum": sum, "none": lambda x: x}


def check_labels(labels: Any, *shape: int) -> np.ndarray[Any, Any]:
    """The labels as an int64 array (n,); an error names the first that is not a class. shape: of the logits (n, k)."""
    if len(shape) != 2:
        raise ValueError(f"expected logits (N, K), one number for each of K classes; the network gives shape {shape}")
    n, classes = shape
    if labels is None:
        raise ValueError(f"labels: expected {n} integers, one per sample; got None")
    given = labels.array if isinstance(labels, Tensor) else labels
    y = np.asarray(given) if isinstance(given, list | tuple) else to_numpy(given)
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise ValueError(f"labels: expected {n} integers, shape ({n},), one per sample; got shape {y.shape}, {y.dtype}")
    bad = np.flatnonzero((y < 0) | (y >= classes))
    if bad.size:
        raise ValueError(f"labels[{bad[0]}] is {y[bad[0]]}: labels of {classes} classes run from 0 to {classes - 1}")
    return y.astype(np.int64)


def _at_labels(x: Tensor, labels: np.ndarray[Any, Any]) -> Tensor:
    """The entry of each row at its label. x: (N, K); labels: (N, 1). Result: (N,)."""
    n, k = x.shape
    if x.device == "cpu":
        return reshape(gather(x, labels, 1), (n,))
    # One kernel, as for a pool that chooses an entry of its window, and one upload; an index on a GPU takes many.
    at = Tensor(to_device(labels.astype(np.int32).reshape(n, 1, 1), x.device))
    return reshape(pool_gather(reshape(x, (n, 1, k)), at, (1, k)), (n,))


# fmt: off
def cross_entropy(
    logits: Tensor, labels: Any, label_smoothing: float = 0.0, reduction: str = "mean", saturating: bool = False,
    *, weight: Any = None, ignore_index: int = -100,
) -> Tensor:
    """-log softmax(logits)[label], per sample, then reduced. logits: (N, K); labels: N integers in [0, K).

    labels may be probabilities (N, K) instead, floats q: then it is -Σ_c q_c log softmax(logits)_c.
    label_smoothing: s in [0, 1): targets (1-s)·onehot + s/K, as in PyTorch. reduction: "mean", "sum" or "none": (N,).
    weight: (K,), one factor for each class; "mean" of labels is then the weighted mean. ignore_index: a sample with
    this label takes no part. The gradient at the true class is precise in float32, where p_t - 1 rounds to 0 for a
    confident net. `saturating=True` gives that usual form, to reproduce published figures; it takes plain labels only.
    A logit -inf takes its class out: its gradient is 0.

    >>> tg.cross_entropy(tg.zeros((5, 2)), [0, 1, 0, 1, 0])
    Tensor(0.69314718, float64)
    """
    if logits.ndim != 2 or 0 in logits.shape or logits.shape[1] < 2:
        raise ValueError(f"cross_entropy: logits must be (N, K) with N ≥ 1 and K ≥ 2; got shape {logits.shape}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"cross_entropy: unknown reduction {reduction!r}; expected one of {', '.join(REDUCTIONS)}")
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1), got {label_smoothing}")
    given = targets.as_array(labels)
    soft = given.dtype.kind == "f" and given.ndim == 2
    if soft or weight is not None or (given == ignore_index).any():
        if saturating:
            raise ValueError("cross_entropy: saturating=True takes labels only, without weight and ignore_index")
        if soft:
            target = labels if isinstance(labels, Tensor) else Tensor(given.astype(logits.dtype)).to(logits.device)
            return REDUCTIONS[reduction](targets.distribution_loss(logits, target, weight, label_smoothing))
        return _weighted_cross_entropy(logits, given, label_smoothing, reduction, weight, given != ignore_index)
    t = check_labels(labels, *logits.shape)[:, None]
    if saturating:
        z_t = gather(logits, t, 1)
        loss = logsumexp(subtract(logits, z_t), 1)
        if label_smoothing:
            loss = add(loss, multiply(sum(subtract(z_t, logits), 1), label_smoothing / logits.shape[1]))
        return REDUCTIONS[reduction](loss)
    log_p = log_softmax(logits, 1)
    loss = negative(_at_labels(log_p, t))
    if label_smoothing:
        uniform = negative(mean(log_p, 1))
        loss = add(multiply(loss, 1.0 - label_smoothing), multiply(uniform, label_smoothing))
    return REDUCTIONS[reduction](loss)


def _weighted_cross_entropy(
    logits: Tensor, labels: np.ndarray[Any, Any], label_smoothing: float, reduction: str, weight: Any, kept: Any,
) -> Tensor:
    """cross_entropy of labels with weights, or of which some take no part. labels, kept: (N,)."""
    if not kept.any():
        raise ValueError("cross_entropy: every label is ignore_index, so there is no loss")
    y = check_labels(np.where(kept, labels, 0), *logits.shape)
    true = targets.one_hot(y, kept, logits)
    counted = Tensor(to_device(kept[:, None].astype(logits.dtype), logits.device))
    loss = targets.distribution_loss(logits, true, weight, label_smoothing, counted)
    if reduction != "mean":
        return REDUCTIONS[reduction](loss)
    share = sum(true if weight is None else multiply(true, targets.class_weights(weight, logits)))
    return divide(sum(loss), share)
# fmt: on


def log_odds_against(logits: Tensor, labels: Any) -> Tensor:
    """logsumexp_{j≠t} z_j - z_t, the log of (1 - p_t)/p_t. logits: (N, K); labels: N integers in [0, K); result: (N,).

    Cross-entropy is its softplus, so both gradients have one direction; but this one cannot underflow.
    """
    t = check_labels(labels, *logits.shape)[:, None]
    true = to_device(t == np.arange(logits.shape[1]), device_of(logits.array))
    return subtract(logsumexp(where(true, float("-inf"), logits), 1), reshape(gather(logits, t, 1), (-1,)))
