"""DeepFool (Moosavi-Dezfooli et al. 2016) for l_p norms, as a recursive network that can be differentiated.

At each iteration the network is linearised at x + r, and r moves to the nearest linearised boundary between the class l
that it leaves and another class k (Deep Defense, equations 1 and 2; DeepFool, section 3.3, for other p; 1/p + 1/q = 1):

    step = |f| / ‖w‖_q · (|w| / ‖w‖_q)^(q-1) · sign(w),     f = ⟨u, z⟩,   w = Jᵀu = rev(u),   u = e_k - e_l

The nearest k is found with an unrecorded pass for all classes. After that choice the gradient reaches one w only, so
only that one is recorded. Iterates are differentiated through; the choice of k, masks, pooling indices and "already
fooled" are constants.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer, Trace
from tinygrad2.ops import abs, concatenate, ratio, reshape, sum, zeros_like
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.base import Task, boxed, check_count, chosen
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import argmax, evaluated, finite
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels

# What is added to each component inside the norm of w: the authors' code needs it to avoid 0/0, our norm does not.
EPSILON = {"corrected": 0.0, "coded": 5e-6}
MODES = tuple(EPSILON)
ANY = -1  # the goal of a sample that may end in any class but its own


@dataclass(frozen=True)
class Walk:
    """Where DeepFool ended.

    delta: (N, ...), the perturbation, on the tape
    logits: (N, K), of the unperturbed x, on the tape
    fooled: (N,)
    iterations: (N,), steps taken
    """

    delta: Tensor
    logits: Tensor
    fooled: Flags
    iterations: Integers


def walk(
    net: Layer,
    x: Tensor,
    labels: Labels | None = None,
    mode: str = "corrected",
    max_iter: int = 5,
    overshoot: float = 0.02,
    p: float = 2,
    box: Box | None = None,
) -> Walk:
    """DeepFool from x, on the tape, so that it can be differentiated. Result: see `Walk`.

    x: (N, ...)
    labels: (N,). Without labels every sample leaves the class that the net gives it. With labels, as in training, a
        misclassified sample walks to its true class instead, away from the class that it has at each iteration.
    mode: "corrected" has gradient 0 where ‖w‖ is 0; "coded" adds 5e-6 to each component inside ‖w‖, as the authors do
    max_iter: steps, at most; a sample that succeeded stops
    overshoot: success is tested at x + (1 + overshoot)·r, which is also where the walk ends
    p: of the norm that is smallest, 1 ≤ p ≤ ∞; the papers differentiate p = 2
    box: lowest and highest pixel; every point of the walk is clipped to it if it is given

    The net is used in the mode (train or eval) that it is in. A sample whose next point or its logits would not be
    finite stops where it is. Raises ValueError for an option out of range.

    >>> robust.walk(nn.Flatten(), tg.Tensor([[2.0, 1.0]])).delta.numpy()  # 1.02 times the way to the boundary
    array([[-0.51,  0.51]])
    """
    _check_options(mode, max_iter, overshoot, p)
    geometry = _Geometry(lp.dual(p), EPSILON[mode])
    trace = net.trace(x)
    logits = trace.output
    source = argmax(logits)
    goal = np.full_like(source, ANY)
    if labels is not None:
        labels = check_labels(labels, *logits.shape)
        goal = np.where(source == labels, ANY, labels)
    fooled = np.zeros(len(source), bool)
    iterations = np.zeros(len(source), np.int64)
    moving = _Moving(np.arange(len(source)), x, zeros_like(x), source, goal)
    ended: list[_Moving] = []
    for i in range(1, max_iter + 1):
        r, now, sound = moving.advance(net, trace, geometry, overshoot, box)
        if not sound.all():
            # The step of the others is recorded again, without those that overflow: in the backward pass of these,
            # 0 · ∞ would be nan.
            ended.append(moving.some(~sound))
            moving = moving.some(sound)
            if not moving.at.size:
                break
            trace = net.trace(moving.start + moving.r)
            r, now, _ = moving.advance(net, trace, geometry, overshoot, box)
        there = np.where(moving.goal == ANY, now != moving.source, now == moving.goal)
        fooled[moving.at] = there
        iterations[moving.at] = i
        moving = replace(moving, r=r)
        stop = there | (i == max_iter)
        if stop.any():
            ended.append(moving.some(stop))
            moving = moving.some(~stop)
        if not moving.at.size:
            break
        trace = net.trace(moving.start + moving.r)
        moving = replace(moving, source=np.where(moving.goal == ANY, moving.source, argmax(trace.output)))
    order = np.argsort(np.concatenate([some.at for some in ended]))
    delta = _within(x, concatenate([some.r for some in ended])[order] * (1 + overshoot), box)
    return Walk(delta, logits, fooled, iterations)


@dataclass(frozen=True)
class _Moving:
    """The samples that still move.

    at: (n,), where they are in the batch; start: (n, ...), their images; r: (n, ...), how far they have come
    source, goal: (n,), the classes that they leave and should reach
    """

    at: Integers
    start: Tensor
    r: Tensor
    source: Integers
    goal: Integers

    def some(self, kept: Flags) -> _Moving:
        return _Moving(self.at[kept], self.start[kept], self.r[kept], self.source[kept], self.goal[kept])

    def advance(
        self, net: Layer, trace: Trace, geometry: _Geometry, overshoot: float, box: Box | None
    ) -> tuple[Tensor, Integers, Flags]:
        """r after one more step, the class at the overshot point, and whether pixels and logits are finite there."""
        r = _within(self.start, self.r + _step(trace, self.source, self.goal, geometry), box)
        with no_grad():
            point = self.start + _within(self.start, r * (1 + overshoot), box)
            logits = net(point)
        return r, argmax(logits), finite(point) & finite(logits)


@evaluated
def deepfool(
    net: Layer,
    x: Images,
    labels: Labels | None = None,
    *,
    p: float = 2,
    box: Box | None = None,
    mode: str = "corrected",
    max_iter: int = 50,
    overshoot: float = 0.02,
) -> AttackResult:
    """The smallest l_p perturbation that DeepFool finds for each image.

    x: (N, ...)
    labels: (N,); one that the net gets wrong already is fooled, and returned as it was. None: the classes that the net
        gives, so every image leaves its predicted class, as the papers' ρ demands
    p: 1 ≤ p ≤ ∞ (`float("inf")`)
    box: lowest and highest pixel; every point of the walk is clipped to it, and success is what the net says inside.
        None unless given, because results that are clipped to a box afterwards are rarely adversarial.
    mode, overshoot: see `walk`
    max_iter: 50, as in DeepFool's own experiments; inside the Deep Defense loss (`walk`) and in its ρ₂ (`rho`) it is 5

    Raises ValueError for an option out of range, and for logits that are not finite.
    Source: Moosavi-Dezfooli et al. 2016, algorithm 2; section 3.3 for p ≠ 2.

    >>> robust.deepfool(nn.Flatten(), np.array([[2.0, 1.0]])).norms.round(3)  # 1.02/√2: the logits are the pixels
    array([0.721])
    """
    task = Task(net, x, labels, box)
    with no_grad():
        found = walk(net, task.x, None, mode, max_iter, overshoot, p, box)
        wrong = task.aim.reached(task.logits)
        adversarial = chosen(wrong, task.x, boxed(task.x + found.delta, box))
    return task.conclude(adversarial, task.at_x(task.aim.lead), p, np.where(wrong, 0, found.iterations))


def _check_options(mode: str, max_iter: int, overshoot: float, p: float) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; expected one of {', '.join(map(repr, MODES))}")
    if mode == "coded" and p != 2:
        raise ValueError(f"mode 'coded' is the Deep Defense authors' l2 code; for p = {p} use mode 'corrected'")
    check_count("DeepFool: max_iter", "steps", max_iter)
    if not 0 <= overshoot < np.inf:
        raise ValueError(f"DeepFool: overshoot is a share of the step and must be finite and ≥ 0, got {overshoot}")


def _within(x: Tensor, delta: Tensor, box: Box | None) -> Tensor:
    """The part of a move from x that stays inside the box."""
    return delta if box is None else boxed(x + delta, box) - x


@dataclass(frozen=True)
class _Geometry:
    """How the normal of a boundary is measured: the dual exponent, and what is added inside the norm."""

    q: float
    epsilon: float

    def length(self, w: Tensor) -> Tensor:
        return lp.length(w + self.epsilon if self.epsilon else w, self.q)


def _step(trace: Trace, source: Integers, goal: Integers, geometry: _Geometry) -> Tensor:
    """The smallest move of each sample onto a boundary of the linearised net. Result: (n, *in)."""
    free = goal == ANY
    k = np.where(free, _nearest(trace, source, geometry), goal) if free.any() else goal
    f, w, length = _boundary(trace, differences(trace, k, source), geometry)
    return reshape(ratio(f, length) * lp.steepest(w, length, geometry.q), trace.input.shape)


def _nearest(trace: Trace, source: Integers, geometry: _Geometry) -> Integers:
    """The class whose linearised boundary is nearest, for each sample: argmin |⟨u, z⟩| / ‖Jᵀu‖_q, without its own."""
    k = others(trace, source)
    with no_grad():
        f, _, length = (t.numpy() for t in _boundary(trace, differences(trace, k, source), geometry))
    distance = np.divide(f, length, out=np.full_like(length, np.inf), where=length > 0)[..., 0]
    nearest: Integers = k[distance.argmin(0), np.arange(len(source))]
    return nearest


def others(trace: Trace, source: Integers) -> Integers:
    """All classes but each sample's own, in order. source: (n,); result: (K-1, n)."""
    k = np.arange(trace.output.shape[1] - 1)[:, None]
    return k + (k >= source)


def differences(trace: Trace, k: Integers, source: Integers) -> Tensor:
    """u = e_k - e_source. k: (..., n); result: (..., n, K)."""
    one_hot = np.eye(trace.output.shape[1], dtype=trace.output.dtype)
    return Tensor(one_hot[k] - one_hot[source]).to(trace.output.device)


def _boundary(trace: Trace, u: Tensor, geometry: _Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """Planes ⟨u, z⟩ + ⟨w, step⟩ = 0: |⟨u, z⟩| (..., n, 1), w = Jᵀu (..., n, D), ‖w‖_q (..., n, 1); u (..., n, K)."""
    w = reshape(trace.reverse()(u), (*u.shape[:-1], -1))
    return abs(sum(trace.output * u, -1, keepdims=True)), w, geometry.length(w)
