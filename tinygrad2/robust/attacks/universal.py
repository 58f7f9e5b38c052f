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
from tinygrad2.ops import concatenate, reshape, zeros_like
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.base import Task, boxed
from tinygrad2.robust.attacks.deepfool import walk
from tinygrad2.robust.attacks.result import AttackResult, merged
from tinygrad2.robust.batches import in_batches
from tinygrad2.robust.evaluation import accept, argmax, classify, evaluated, finite
from tinygrad2.robust.types import Box, Images, Integers, Labels

BATCH = 250


@dataclass(frozen=True, kw_only=True, repr=False)
class UniversalResult(AttackResult):
    """The images moved by v, v itself, and how many were fooled on the way.

    perturbation: v, (1, ...), the best one of all passes
    rates: share of the images whose class v changes, in [0, 1], after each pass
    """

    perturbation: Tensor
    rates: tuple[float, ...]


@evaluated
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

    x: (N, ...)
    labels: (N,), decide only what counts as fooled; an image that is wrong already and that v would put right is
        returned as it was. None: the classes that the net gives
    epsilon: in the units of x; p: 2 or inf
    box: lowest and highest pixel; images are clipped to it after v is added, if it is given
    share: it ends when v changes the class of this share of the images
    passes: over the images, at most, each in an order of its own. rng: a seed or a generator
    max_iter, overshoot: DeepFool's, as in the authors' code
    progress: wraps the order of a pass

    The v of the pass after which most images change their class is returned. Norms are l_p, iterations are passes.
    Raises ValueError for an option out of range, and for logits that are not finite.
    Source: Moosavi-Dezfooli et al. 2017, algorithm 1.

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
    before = in_batches(lambda part: classify(net, x[part])[1], x.shape[0], BATCH)
    labels = before if labels is None else _checked(net, x, labels)
    with no_grad():
        v = best = zeros_like(x[:1])
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
            rates.append(_rate(net, x, v, before, box))
            if rates[-1] > max(rates[:-1], default=0.0):
                best = v
    parts = [slice(i, i + BATCH) for i in range(0, len(before), BATCH)]
    results = [_concluded(net, x[part], labels[part], best, len(rates), p, box) for part in parts]
    right = [int((before[part] == labels[part]).sum()) for part in parts]
    return UniversalResult(
        adversarial=concatenate([r.adversarial for r in results]),
        success=np.concatenate([r.success for r in results]),
        norms=np.concatenate([r.norms for r in results]),
        iterations=np.concatenate([r.iterations for r in results]),
        diagnostic=merged([r.diagnostic for r in results], [len(r.norms) for r in results], right),
        norm=lp.name(p),
        perturbation=best,
        rates=tuple(rates),
    )


def _rate(net: Layer, x: Tensor, v: Tensor, before: Integers, box: Box | None) -> float:
    """The share of the images whose class v changes. x: (N, ...); v: (1, ...); before: (N,)."""

    def changed(part: slice) -> np.ndarray:
        logits = net(boxed(x[part] + v, box))
        moved: np.ndarray = finite(logits) & (argmax(logits) != before[part])
        return moved

    return float(in_batches(changed, len(before), BATCH).mean())


def _concluded(
    net: Layer, x: Tensor, labels: Integers, v: Tensor, passes: int, p: float, box: Box | None
) -> AttackResult:
    """What v does to some of the images. x: (n, ...); labels: (n,); v: (1, ...)."""
    task = Task(net, x, labels, box)
    return task.conclude(boxed(x + v, box), task.at_x(task.aim.lead), p, np.full(len(labels), passes))


def _checked(net: Layer, x: Tensor, labels: Labels) -> Integers:
    """The labels (N,). Raises ValueError for one that is no class of the net. x: (N, ...)."""
    with no_grad():
        classes = net(x[:1]).shape[1]
    checked: Integers = check_labels(labels, x.shape[0], classes)
    return checked
