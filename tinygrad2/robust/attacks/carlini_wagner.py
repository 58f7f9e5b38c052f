"""Carlini & Wagner's l2 attack (2017, section VI): the smallest perturbation that fools, found by gradient descent.

    minimise  ‖δ‖² + c · relu(z_t - max_{j≠t} z_j + κ)   over w,   δ = (hi - lo)/2 · (tanh w - tanh w₀)

so that no pixel leaves its box. Theirs has x = lo + (hi - lo)(tanh w₀ + 1)/2, where a pixel at the end of the box is
stuck, tanh being flat; here w₀ stays off the ends, and x + δ is clipped. The constant c of each sample is sought: ten
times more until one fools, then halving between what fools and what does not. For l∞ see `cw_linf` in pgd.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad, vjp
from tinygrad2.nn import Adam, Layer
from tinygrad2.ops import clip, log, relu, reshape, stack, sum, tanh
from tinygrad2.robust.attacks.base import Task, boxed, check_count
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated, finite
from tinygrad2.robust.types import Box, Flags, Images, Labels, Targets

EDGE = 0.99  # the largest |tanh w₀|, where a pixel at the end of its box begins
PROGRESS = 0.9999  # a sample's search ends when a tenth of the steps leaves more than this share of its objective


# fmt: off
@evaluated
def cw_l2(
    net: Layer, x: Images, labels: Labels | None, *,
    kappa: float = 0.0, steps: int = 1000, step_size: float = 0.01, searches: int = 9, constant: float = 1e-3,
    box: Box | None = None, targets: Targets | None = None,
) -> AttackResult:
    """The smallest l2 perturbation that gradient descent finds, until a wrong class leads by kappa.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    kappa: lead in units of the logits
    steps, step_size: of Adam, in each search
    searches: for the weight c of the hinge, which begins with `constant`
    box: lowest and highest pixel, both finite. Distances are counted in the size of the box, so that no option depends
        on the units of the pixels. Without a box there is no tanh, and step_size is in the units of x.
    targets: a class t, or N of them, to be reached: the hinge is relu(max_{j≠t} z_j - z_t + kappa)

    Norms are l2, in the units of x; iterations are the steps after which the result was found. A sample that is never
    fooled is returned as it was. Raises ValueError for an option out of range, and for logits that are not finite.
    Source: Carlini & Wagner 2017, section VI.

    >>> x = np.array([[2.0, 1.0]])  # the logits are the pixels, so the boundary is 1/√2 away
    >>> robust.cw_l2(nn.Flatten(), x, [0], steps=100, step_size=0.1, constant=1.0).norms.round(2)
    array([0.71])
    """
    # fmt: on
    _check_options(kappa, steps, step_size, searches, constant, box)
    task = Task(net, x, labels, box, targets)
    x = task.x
    best = Best(x)
    w = _enter(x, box)
    unit = 1.0 if box is None else box[1] - box[0]
    with no_grad():
        origin = _leave(w, box)

        def points(w: Tensor) -> Tensor:
            return boxed(x + (_leave(w, box) - origin), box)

        def parts(w: Tensor) -> tuple[Tensor, Flags]:
            """‖δ‖² and the hinge of each sample: (2, N); and which samples are fooled."""
            rows = reshape((_leave(w, box) - origin) * (1 / unit), (x.shape[0], -1))
            logits = net(points(w))
            return stack([sum(rows * rows, 1), relu(kappa - task.aim.lead(logits))]), task.aim.reached(logits)

        wrong = task.aim.reached(task.logits) & (task.aim.lead(task.logits).numpy() >= kappa)
        best.offer(x, np.where(wrong, 0, -np.inf), wrong, 0)
        c = np.full(x.shape[0], constant)
        low = np.zeros(len(c))
        high = np.full(len(c), np.inf)
        for k in range(searches):
            found = _descend(parts, w, c, steps, step_size)
            best.offer(points(found.points), found.values, found.fooled, k * steps + found.steps)
            low = np.where(found.fooled, low, c)
            high = np.where(found.fooled, c, high)
            c = np.where(np.isinf(high), 10 * c, (low + high) / 2)
    start = task.at_x(lambda z: -relu(kappa - task.aim.lead(z)))
    return task.conclude(best.points, start, 2, best.steps)


def _descend(
    parts: Callable[[Tensor], tuple[Tensor, Flags]], w: Tensor, c: np.ndarray, steps: int, step_size: float
) -> Best:
    """Adam from w down ‖δ‖² + c·hinge: each sample's nearest point that fools with the lead asked for. c: (N,)."""
    found = Best(w)
    going = np.ones(len(c), bool)
    before = np.full(len(c), np.inf)
    weights = Tensor(np.stack([np.ones_like(c), c]).astype(w.dtype)).to(w.device)
    w = Tensor(w.array, requires_grad=True)
    adam = Adam([w], step_size)
    for k in range(steps):
        values, pullback, reached = vjp(parts, w, has_aux=True)
        square, hinge = values.numpy()
        if k % math.ceil(steps / 10) == 0:
            going &= square + c * hinge < PROGRESS * before
            before = square + c * hinge
            if not going.any():
                break
        fooled = going & reached & (hinge == 0) & finite(w)
        found.offer(w.detach(), np.where(fooled, -square, -np.inf), fooled, k)
        w.grad = pullback(weights)[0]
        adam.step()
    return found


def _enter(x: Tensor, box: Box | None) -> Tensor:
    """w₀: atanh of the pixels, their box taken to [-1, 1]; x itself without a box."""
    if box is None:
        return x
    y = clip((x - box[0]) * (2 / (box[1] - box[0])) - 1, -EDGE, EDGE)
    return (log(1 + y) - log(1 - y)) * 0.5


def _leave(w: Tensor, box: Box | None) -> Tensor:
    """What δ is the change of."""
    return w if box is None else tanh(w) * ((box[1] - box[0]) / 2)


def _check_options(
    kappa: float, steps: int, step_size: float, searches: int, constant: float, box: Box | None
) -> None:
    check_count("steps", "repetitions", steps)
    check_count("searches", "repetitions", searches)
    for name, value in (("step_size", step_size), ("constant", constant)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be finite and positive, got {value}")
    if not 0 <= kappa < np.inf:
        raise ValueError(f"kappa is a lead in units of the logits and must be finite and not negative, got {kappa}")
    if box is not None and not np.isfinite(box).all():
        raise ValueError(f"cw_l2 measures in the size of the box, so both ends must be finite; got {box}: leave it out")
