"""What all attacks share: the task that they are given, and one rule of what they may return.

A sample is fooled if the network, in evaluation mode, gives it another class than its label; in a targeted attack, if
it gives the class that was to be reached. x itself is a candidate of every attack, so nothing that an attack returns is
classified better than x. A point where pixels or logits are not finite is no candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad, vjp
from tinygrad2.nn import Layer
from tinygrad2.ops import clip, concatenate, cross_entropy, gather, reshape, where
from tinygrad2.ops.losses import check_labels, log_odds_against
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.result import AttackResult, Diagnostic
from tinygrad2.robust.evaluation import accept, argmax, check_logits, finite
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels, Targets

AttackObjective: TypeAlias = Callable[[Tensor], Tensor]  # what an attack wants to be large: (N, K) logits to (N,)

SOFTMAX = (
    "the network's outputs are probabilities: it ends in a softmax, where the gradient vanishes as the network grows "
    "sure; attack its logits, the same network without the last layer"
)
SIGMOID = (
    "the network's one output is between 0 and 1 for every image: if it ends in a sigmoid, the second class always "
    "wins; leave the sigmoid out, for two logits are made of the number before it"
)
FEW = 10  # images of which an honest output may well be between 0 and 1


@dataclass(frozen=True)
class Aim:
    """What is to be reached for each of N samples: any class but its label, or its target.

    labels: (N,), the true classes
    targets: (N,), the classes to be reached; None for any class but the label
    """

    labels: Integers
    targets: Integers | None = None

    def reached(self, logits: Tensor) -> Flags:
        """Which samples are fooled: (N,). A label is no target of its own sample. logits: (N, K)."""
        now = argmax(logits)
        goal = now if self.targets is None else self.targets
        fooled: Flags = (now == goal) & (now != self.labels) & finite(logits)
        return fooled

    def rank(self, logits: Tensor) -> Integers:
        """How much each sample is worth, (N,): 2 fooled, 1 wrong, 0 right, -1 not finite. logits: (N, K)."""
        wrong = argmax(logits) != self.labels
        worth: Integers = np.where(finite(logits), wrong.astype(np.int64) + self.reached(logits), -1)
        return worth

    def lead(self, logits: Tensor) -> Tensor:
        """max_{j≠t} z_j - z_t for the label t, or z_t - max_{j≠t} z_j for the target t. logits: (N, K); result: (N,).

        It is positive only where the sample is fooled. The class j is a constant.
        """
        return margin(logits, self.labels) if self.targets is None else -margin(logits, self.targets)

    def rising(self, saturating: bool = False) -> AttackObjective:
        """What grows with the cross-entropy of the label, or falls with that of the target: log odds.

        Their gradient is a positive multiple of CE's and does not underflow, however confident the net. `saturating`:
        CE itself with p_t - 1, which rounds to 0 for a confident net, as usual float32 code does.
        """
        t = self.labels if self.targets is None else self.targets
        sign = 1.0 if self.targets is None else -1.0
        if saturating:
            return lambda z: cross_entropy(z, t, reduction="none", saturating=True) * sign
        return lambda z: log_odds_against(z, t) * sign

    def some(self, at: Integers) -> Aim:
        """The aim of some of the samples. at: (n,), where they are in the batch."""
        return Aim(self.labels[at], None if self.targets is None else self.targets[at])


@dataclass(frozen=True)
class ValueAndGradient:
    """An attack's objective at a point of each sample, and the direction in which it rises.

    logits: (N, K); values: (N,)
    compute: the gradient, called once, when somebody asks for it
    """

    logits: Tensor
    values: Tensor
    compute: Callable[[], Tensor]

    @cached_property
    def gradient(self) -> Tensor:
        """∂values_i/∂x_i, (N, ...), a constant, always finite: nan counts as 0, infinity as a very large number."""
        g = self.compute()
        if finite(g).all():
            return g
        largest = np.finfo(g.dtype).max / (2 * g.size)  # so that no norm of it overflows
        return Tensor(np.nan_to_num(g.numpy(), nan=0.0).clip(-largest, largest)).to(g.device)


class Task:
    """What an attack is given, checked: a network in evaluation mode, images, and the aim.

    x: (N, ...), a constant Tensor on the net's device; logits: (N, K), at x
    labels: (N,); None: the classes that the net gives, so that no true label leaks into what an attack makes
    targets: one class or N of them to be reached; None for any class but the label
    Raises ValueError or TypeError for images, labels or targets that do not fit, and for logits that are not finite.
    """

    def __init__(
        self,
        net: Layer,
        x: Images,
        labels: Labels | None,
        box: Box | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.net = net
        self.x = accept(net, x, box)
        with no_grad():  # nobody differentiates the result
            self.logits, self._pullback = vjp(net, self.x)
        predicted = check_logits(net, self.logits)
        given = predicted if labels is None else check_labels(labels, *self.logits.shape)
        self.aim = Aim(given, None if targets is None else _goals(targets, self.logits))

    def at_x(self, objective: AttackObjective) -> ValueAndGradient:
        """The objective of the logits at x, with its gradient."""
        return _value_and_gradient(self.logits, self._pullback, objective)

    def at(self, points: Tensor, objective: AttackObjective) -> ValueAndGradient:
        """The objective of the logits at other points, with its gradient. points: (N, ...)."""
        return value_and_gradient(self.net, points, objective)

    def conclude(
        self,
        points: Tensor,
        start: ValueAndGradient,
        p: float,
        iterations: Integers,
        warnings: tuple[str, ...] = (),
    ) -> AttackResult:
        """What the net says at the points found, and how the attack fared.

        points: (N, ...); one that the net classifies better than x is replaced by x
        start: the attack's objective at x; p: of the norms; iterations: (N,)
        """
        with no_grad():
            logits = self.net(points)
            worse = (self.aim.rank(logits) < self.aim.rank(self.logits)) | ~finite(points)
            if worse.any():
                points = chosen(worse, self.x, points)
                iterations = np.where(worse, 0, iterations)
                logits = self.net(points)
            norms = lengths(points - self.x, p)
            told = self._observed(logits, lengths(start.gradient, np.inf) == 0, warnings)
            return AttackResult(points, self.aim.reached(logits), norms, iterations, told, lp.name(p))

    def _observed(self, after: Tensor, flat: Flags, warnings: tuple[str, ...]) -> Diagnostic:
        """What every attack can tell of itself. after: logits (N, K) at the end; flat: (N,), no gradient at x."""
        labels = self.aim.labels
        right = argmax(self.logits) == labels
        before, now = (cross_entropy(z.astype(np.float64), labels).item() for z in (self.logits, after))
        found = [*warnings]
        if _probabilities(self.logits):
            found.append(SOFTMAX)
        if _one_probability(self.logits):
            found.append(SIGMOID)
        if self.aim.targets is not None and (self.aim.targets == labels).any():
            found.append("images whose label is their target do not count as fooled")
        return Diagnostic(float(flat[right].mean()) if right.any() else 0.0, now - before, warnings=tuple(found))


def _goals(targets: Targets, z: Tensor) -> Integers:
    """One class for each sample, of one class for all or N of them."""
    return check_labels(np.full(z.shape[0], targets) if np.ndim(targets) == 0 else targets, *z.shape)


def _probabilities(z: Tensor) -> bool:
    """Whether every row looks like the result of a softmax. z: (N, K)."""
    rows = z.numpy()
    off = np.abs(rows.sum(1, dtype=np.float64) - 1)
    return bool((rows >= 0).all() and (off <= 4 * rows.shape[1] * np.finfo(rows.dtype).eps).all())


def _one_probability(z: Tensor) -> bool:
    """Whether every row looks like what `two_logits` makes of the result of a sigmoid: (0, p). z: (N, K)."""
    rows = z.numpy()
    binary = len(rows) >= FEW and rows.shape[1] == 2 and (rows[:, 0] == 0).all()
    return bool(binary and ((rows >= 0) & (rows <= 1)).all())


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless epsilon is a size."""
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon is a size in the units of x and must be finite and not negative, got {epsilon}")


def check_count(name: str, meaning: str, count: int) -> None:
    """Raise ValueError unless count is at least 1; meaning: what is counted."""
    if count < 1:
        raise ValueError(f"{name} is a number of {meaning} and must be at least 1, got {count}")


def sizes(x: Tensor, p: float = 2) -> Tensor:
    """‖x_i‖_p of each sample, the divisor of ρ. x: (N, ...); result: (N,). Raises ValueError for a sample of zeros."""
    lengths = reshape(lp.length(reshape(x, (x.shape[0], -1)), p), (-1,))
    if not lengths.detach().numpy().all():
        raise ValueError(
            f"image {int(lengths.detach().numpy().argmin())} is all zeros: ρ = ‖Δ‖/‖x‖ is not defined for it"
        )
    return lengths


def lengths(delta: Tensor, p: float) -> np.ndarray:
    """‖δ_i‖_p of each sample on the host; p = 0 counts the entries that are not 0. delta: (N, ...); result: (N,)."""
    with no_grad():
        rows = reshape(delta, (delta.shape[0], -1))
        return (rows.numpy() != 0).sum(1).astype(rows.dtype) if p == 0 else lp.length(rows, p).numpy()[:, 0]


def boxed(x: Tensor, box: Box | None) -> Tensor:
    """x clipped to the range of the pixels, if one is given."""
    return x if box is None else clip(x, *box)


def chosen(flags: Flags, a: Tensor, b: Tensor) -> Tensor:
    """Of each sample a where its flag is set, else b. flags: (N,); a, b: (N, ...)."""
    return where(Tensor(flags.reshape((-1, *(1,) * (b.ndim - 1)))).to(b.device), a, b)


def placed(whole: Tensor, at: Integers, part: Tensor) -> Tensor:
    """The whole with other samples at some places. whole: (N, ...); at: (n,); part: (n, ...)."""
    source = np.arange(whole.shape[0])
    source[at] = whole.shape[0] + np.arange(len(at))
    return concatenate([whole, part])[source]


def runner_up(logits: Tensor, labels: Integers) -> Integers:
    """The class of largest logit but for the label, on the host. logits: (N, K); result: (N,)."""
    others = np.where(labels[:, None] == np.arange(logits.shape[1]), -np.inf, logits.detach().numpy())
    second: Integers = others.argmax(1)
    return second


def margin(logits: Tensor, labels: Labels) -> Tensor:
    """max_{j≠t} z_j - z_t, positive where the net is wrong; the class j is a constant. logits: (N, K); result: (N,)."""
    t = check_labels(labels, *logits.shape)
    j = runner_up(logits, t)
    return reshape(gather(logits, j[:, None], 1) - gather(logits, t[:, None], 1), (-1,))


def value_and_gradient(net: Layer, x: Tensor, objective: AttackObjective) -> ValueAndGradient:
    """The objective of the net's logits at x with its gradient, all constants, also inside no_grad. x: (N, ...)."""
    with no_grad():  # nobody differentiates the result
        return _value_and_gradient(*vjp(net, x), objective)


def _value_and_gradient(
    logits: Tensor, pullback: Callable[[Tensor], tuple[Tensor, ...]], objective: AttackObjective
) -> ValueAndGradient:
    with no_grad():
        values, objective_pullback = vjp(objective, logits)
    ones = Tensor(np.ones(values.shape, values.dtype)).to(values.device)
    return ValueAndGradient(logits, values, lambda: pullback(*objective_pullback(ones))[0])
