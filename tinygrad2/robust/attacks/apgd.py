"""Auto-PGD (Croce & Hein 2020, section 3): projected gradient ascent with momentum that chooses its step itself.

    z ← P(x_k + η · direction(∇ objective(x_k)))
    x_{k+1} ← P(x_k + α (z - x_k) + (1 - α)(x_k - x_{k-1})),   α = 0.75, at first 1

η begins at 2 epsilon. At checkpoints it is halved for the samples whose objective rose in less than 3/4 of the steps
since the last checkpoint, or neither η nor the best value changed since then; these go on from their best point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.ops import gather, ratio, reshape
from tinygrad2.robust.attacks.base import (
    Aim,
    AttackObjective,
    Task,
    ValueAndGradient,
    check_count,
    check_epsilon,
    chosen,
)
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.pgd import check_ball, inside, steepest
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels, Targets

MOMENTUM = 0.75  # α
RISING = 0.75  # the share of the steps in which the objective should rise
FIRST, LEAST, SHORTER = 0.22, 0.06, 0.03  # of all steps: to the first checkpoint, at least, and what is taken off


# fmt: off
@evaluated
def apgd(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    p: float = np.inf, loss: str = "ce", steps: int = 100, restarts: int = 1, rng: Rng = 0,
    box: Box | None = None, targets: Targets | None = None,
) -> AttackResult:
    """Auto-PGD: projected gradient ascent with momentum that halves its own step where it stops paying.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    epsilon: size of the ball, in the units of x
    p: the norm of the ball and of the result, inf or 2
    loss: "ce", the log odds against the label, which rise with the cross-entropy and do not underflow; or "dlr", the
        difference of logits ratio (see `dlr`), which a rescaling of the logits does not change
    steps: of each restart, at most; a sample that is fooled stops
    restarts: starts at random points of the ball. rng: a seed or a generator
    box: lowest and highest pixel; every point is clipped to it if it is given
    targets: a class, or N of them, to be reached

    Raises ValueError for an option out of range, and for logits that are not finite.
    Source: Croce & Hein 2020, algorithm 1.

    >>> robust.apgd(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success  # the logits are the pixels
    array([ True])
    """
    # fmt: on
    check_epsilon(epsilon)
    check_ball(p)
    check_count("steps", "steps", steps)
    check_count("restarts", "starting points", restarts)
    if loss not in LOSSES:
        raise ValueError(f"unknown loss={loss!r}; expected one of {', '.join(map(repr, LOSSES))}")
    task = Task(net, x, labels, box, targets)
    rng = np.random.default_rng(rng)
    start = task.at_x(LOSSES[loss](task.aim))
    best = Best(task.x)
    best.offer(task.x, start.values.numpy(), task.aim.reached(task.logits), 0)
    ball = _Ball(p, epsilon, box)
    with no_grad():
        for _ in range(restarts):
            left = np.flatnonzero(~best.fooled)
            if not left.size:
                break
            noise = (epsilon * on_sphere(rng, task.x.shape, p)).astype(task.x.dtype)
            begin = ball.inside(task.x[left], Tensor(noise[left]).to(task.x.device))
            _climb(task, best, left, begin, LOSSES[loss], ball, steps)
    return task.conclude(best.points, start, p, best.steps)


@dataclass(frozen=True)
class _Ball:
    p: float
    epsilon: float
    box: Box | None

    def inside(self, x: Tensor, delta: Tensor) -> Tensor:
        return inside(x, delta, self.p, self.epsilon, self.box)


@dataclass
class _Climbing:
    """The samples that still climb, n of them.

    at: (n,), where they are in the batch; x: (n, ...), their images
    point, before: (n, ...), where they are, and were one step ago; gradient: (n, ...), value: (n,), at `point`
    top, top_gradient, top_value: the best point so far, and the gradient and the value there
    eta: (n,), the length of a step
    rises: (n,), steps since the last checkpoint in which the value rose
    halved, checked_value: (n,), whether eta was halved at the last checkpoint, and the best value then
    """

    at: Integers
    x: Tensor
    point: Tensor
    before: Tensor
    gradient: Tensor
    value: np.ndarray
    top: Tensor
    top_gradient: Tensor
    top_value: np.ndarray
    eta: np.ndarray
    rises: Integers
    halved: Flags
    checked_value: np.ndarray

    def some(self, kept: Flags) -> _Climbing:
        return _Climbing(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def step(self, ball: _Ball, alpha: float) -> None:
        """The step with momentum of algorithm 1, lines 7 and 8."""
        eta = Tensor(self.eta.reshape(-1, *(1,) * (self.x.ndim - 1))).to(self.x.device)
        z = ball.inside(self.x, self.point - self.x + steepest(self.gradient, ball.p) * eta)
        ahead = (z - self.point) * alpha + (self.point - self.before) * (1 - alpha)
        self.before = self.point
        self.point = ball.inside(self.x, self.point - self.x + ahead)

    def see(self, here: ValueAndGradient) -> None:
        """Take in what is at the new point."""
        value = here.values.numpy()
        self.rises = self.rises + (value > self.value)
        self.value = value
        self.gradient = here.gradient
        better = value > self.top_value
        self.top = chosen(better, self.point, self.top)
        self.top_gradient = chosen(better, self.gradient, self.top_gradient)
        self.top_value = np.where(better, value, self.top_value)

    def check(self, since: int) -> None:
        """Halve the steps that do not pay, by conditions 1 and 2 of section 3.2. since: steps after the last check."""
        idle = ~self.halved & (self.top_value <= self.checked_value)
        self.halved = (self.rises < RISING * since) | idle
        self.eta = np.where(self.halved, self.eta / 2, self.eta)
        self.point = chosen(self.halved, self.top, self.point)
        self.gradient = chosen(self.halved, self.top_gradient, self.gradient)
        self.checked_value = self.top_value
        self.rises = np.zeros_like(self.rises)


def _climb(
    task: Task, best: Best, left: Integers, begin: Tensor, loss: Loss, ball: _Ball, steps: int
) -> None:
    """One walk of the samples `left`, (n,), from the points `begin`, (n, ...); what it finds is offered to `best`."""
    here = task.at(begin, loss(task.aim.some(left)))
    value = here.values.numpy()
    g = here.gradient
    n = len(left)
    eta = np.full(n, 2 * ball.epsilon, begin.dtype)
    count = np.zeros(n, np.int64)
    flags = np.zeros(n, bool)
    now = _Climbing(left, task.x[left], begin, begin, g, value, begin, g, value, eta, count, ~flags, value)
    last = 0
    interval = max(int(FIRST * steps), 1)
    for k in range(steps + 1):
        if k:
            now.step(ball, 1.0 if k == 1 else MOMENTUM)
            here = task.at(now.point, loss(task.aim.some(now.at)))
            now.see(here)
        fooled = task.aim.some(now.at).reached(here.logits)
        if fooled.any():
            best.offer(now.point[fooled], now.value[fooled], fooled[fooled], k, now.at[fooled])
            now = now.some(~fooled)
        if not now.at.size:
            return
        if k == last + interval:
            now.check(interval)
            last = k
            interval = max(interval - max(int(SHORTER * steps), 1), int(LEAST * steps), 1)
    best.offer(now.top, now.top_value, np.zeros(len(now.at), bool), steps, now.at)


def dlr(logits: Tensor, aim: Aim) -> Tensor:
    """The difference of logits ratio, max_{j≠t} z_j - z_t over z_(1) - z_(3): (N,). logits: (N, K).

    z_(1) ≥ z_(2) ≥ ... are the sorted logits. For a target g it is z_g - max_{j≠g} z_j over the same. With two classes
    there is no z_(3), and z_(1) - z_(2) would leave the sign alone, so the difference itself is taken.
    Source: Croce & Hein 2020, equation 6; the order of the classes is a constant.
    """
    lead = aim.lead(logits)
    if logits.shape[1] < 3:
        return lead
    order = np.argsort(-logits.detach().numpy(), 1, kind="stable")
    spread = gather(logits, order[:, :1], 1) - gather(logits, order[:, 2:3], 1)
    return ratio(lead, reshape(spread, (-1,)))


Loss: TypeAlias = Callable[[Aim], AttackObjective]
LOSSES: dict[str, Loss] = {
    "ce": lambda aim: aim.rising(),
    "dlr": lambda aim: lambda z: dlr(z, aim),
}


def on_sphere(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    """Random points of ‖·‖_p = 1, p = 2 or infinite, one per sample: the authors' starts. Result: (N, ...), float64."""
    draws = rng.uniform(-1, 1, shape) if p == np.inf else rng.standard_normal(shape)
    sizes = np.linalg.norm(draws.reshape(shape[0], -1), p, axis=1)
    points: np.ndarray = draws / sizes.reshape(-1, *(1,) * (len(shape) - 1))
    return points
