"""Accuracy under an attack as a function of its strength: the figures of all five papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.fgsm import fgsm
from tinygrad2.robust.attacks.jsma import jsma
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.evaluation import correct
from tinygrad2.robust.metrics.accuracy import check_paired
from tinygrad2.robust.types import Box


def accuracy_curve(
    net: Layer,
    x: np.ndarray,
    labels: np.ndarray,
    strengths: Sequence[float],
    *,
    attack: Callable[..., AttackResult] = fgsm,
    strength: str = "epsilon",
    batch_size: int = 100,
    progress: Progress | None = None,
    **options: Any,
) -> np.ndarray:
    """The share of images still classified as labelled at each strength of an attack, in [0, 1].

    x: (N, ...); labels: (N,); strengths: S numbers; result: (S,)
    attack: attack(net, x, labels, strength=..., **options)
    strength: the name of the option that varies: epsilon in most attacks; theta in JSMA, for figure 2 of Jacobian
        regularisation

    For FGSM without options `FGS` is faster.

    >>> robust.accuracy_curve(nn.Flatten(), np.array([[2.0, 1.0]]), np.array([0]), [0.0, 0.4, 0.6])
    array([1., 1., 0.])
    """
    check_paired(x, labels)

    def standing(part: slice) -> np.ndarray:
        results = (attack(net, x[part], labels[part], **{strength: s}, **options) for s in strengths)
        return np.stack([correct(net, r.adversarial, labels[part]) for r in results], 1)

    curve: np.ndarray = in_batches(standing, len(x), batch_size, progress).mean(0)
    return curve


def pixel_curve(
    net: Layer,
    x: np.ndarray,
    labels: np.ndarray,
    *,
    box: Box,
    steps: int = 80,
    batch_size: int = 100,
    progress: Progress | None = None,
    **options: Any,
) -> np.ndarray:
    """The share of images still classified as labelled after 0, 1, ..., `steps` steps of JSMA, in [0, 1].

    x: (N, ...); labels: (N,); result: (steps + 1,)
    box: lowest and highest pixel
    options: those of `jsma` but targets, with which a wrong class other than the goal would count as standing

    One attack gives the whole curve: JSMA is greedy, so a shorter one is its beginning.
    """
    check_paired(x, labels)
    taken = np.arange(steps + 1)

    def standing(part: slice) -> np.ndarray:
        found = jsma(net, x[part], labels[part], box=box, steps=steps, **options)
        return ~found.success[:, None] | (taken < found.iterations[:, None])

    curve: np.ndarray = in_batches(standing, len(x), batch_size, progress).mean(0)
    return curve
