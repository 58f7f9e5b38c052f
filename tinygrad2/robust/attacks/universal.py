"""Universal adversarial perturbations (Moosavi-Dezfooli et al. 2017, algorithm 1): one v that fools most images.

Images that v does not fool yet are visited one by one; each adds its own smallest step over a boundary, found by
DeepFool at x_i + v, and v is projected to the ball ‖v‖_p ≤ ε: v ← P(v + Δv_i), until the share that is fooled suffices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.ops import concatenate, reshape
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.base import AttackResult, accept, argmax, boxed, lengths, observed
from tinygrad2.robust.attacks.deepfool import walk
from tinygrad2.robust.attacks.fgsm import sign_direction
from tinygrad2.robust.batches import in_batches
from tinygrad2.robust.types import Box, Images, Integers, Labels

BATCH = 250


@dataclass(frozen=True, kw_only=True, repr=False)
class UniversalResult(AttackResult):
    """The images moved by v, v itself, and how many were fooled on the way.

    perturbation: v, (1, ...)
    rates: share of the images whose class v changes, in [0, 1], after each pass
    """

    perturbation: Tensor
    rates: tuple[float, ...]


def universal(
    net: Layer,
    x: Images,
    labels: Labels | None,
    *,
    epsilon: float,
    p: float = float("inf"),
    box: Box | None = None,
    share: float = 0.8,
    passes: int = 10,
    max_iter: int = 10,
    overshoot: float = 0.02,
    rng: Rng = 0,
    progress: Callable[[Integers], Iterable[int]] | None = None,
) -> UniversalResult:
    """One perturbation of ‖v‖_p ≤ epsilon for all images, collected from DeepFool steps.

    x: (N, ...); labels: (N,)
    epsilon: in the units of x; p: 2 or inf
    box: lowest and highest pixel; images are clipped to it after v is added, if it is given
    share: it ends when v changes the class of this share of the images
    passes: over the images, at most, each in an order of its own. rng: a seed or a generator
    max_iter, overshoot: DeepFool's, as in the authors' code
    progress: wraps the order of a pass

    Norms are l_p, iterations are passes. Source: Moosavi-Dezfooli et al. 2017, algorithm 1.

    >>> robust.universal(nn.Flatten(), np.array([[2.0, 1.0]]), [0], epsilon=1.0).perturbation.numpy()
    array([[-0.51,  0.51]])
    """
    if not 0 < share <= 1 or passes < 1 or not 0 < epsilon < np.inf:
        given = f"share = {share}, passes = {passes}, epsilon = {epsilon}"
        raise ValueError(
            f"universal: share must be in (0, 1], passes at least 1, and epsilon finite and > 0; got {given}"
        )
    x = accept(net, x, box)
    rng = np.random.default_rng(rng)
    with no_grad():
        start = _logits(net, x)
        before = argmax(start)
        labels = before if labels is None else check_labels(labels, *start.shape)
        v = x[:1] * 0.0
        rates = list[float]()
        lp.project(reshape(v, (1, -1)), p, epsilon)  # raises for a p without projection, before the work
        while len(rates) < passes and (not rates or rates[-1] < share):
            order = rng.permutation(len(before))
            for i in progress(order) if progress else order:
                here = boxed(x[i : i + 1] + v, box)
                if argmax(net(here))[0] == before[i]:
                    found = walk(net, here, None, "corrected", max_iter, overshoot, box=box)
                    if found.fooled[0]:
                        v = reshape(lp.project(reshape(v + found.delta, (1, -1)), p, epsilon), v.shape)
            adversarial = boxed(x + v, box)
            end = _logits(net, adversarial)
            rates.append(float((argmax(end) != before).mean()))
        norms = lengths(adversarial - x, p)
        success = argmax(end) != labels
        largest = lambda part: lengths(sign_direction(net, x[part], labels[part]), np.inf)  # 0 without a gradient, or 1
        diagnostic = observed(start, end, labels, in_batches(largest, len(before)) == 0)
    taken = np.full(len(before), len(rates))
    return UniversalResult(
        adversarial, success, norms, taken, diagnostic, lp.name(p), perturbation=v, rates=tuple(rates)
    )


def _logits(net: Layer, x: Tensor) -> Tensor:
    """The logits of all images, a batch at a time."""
    return concatenate([net(x[i : i + BATCH]) for i in range(0, x.shape[0], BATCH)])
