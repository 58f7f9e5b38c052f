"""Projected gradient ascent: one walk for BIM, PGD and Carlini & Wagner's l∞ attack.

    y ← the nearest point of the ball around x, then of the box, to y + step · direction(∇ objective(y))

The attacks differ in the objective and in where they start: BIM (Kurakin et al. 2017) at x, PGD (Madry et al. 2018) at
random points of the ball; C&W's objective (2017; logit-gradient regularisation, section 4) is a margin of logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.ops import relu, reshape
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.base import (
    AttackObjective,
    AttackResult,
    accept,
    argmax,
    boxed,
    check_epsilon,
    conclude,
    margin,
    value_and_gradient,
)
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.fgsm import rising
from tinygrad2.robust.types import Box, Images, Labels

KEEP = ("best", "last")


@dataclass(frozen=True)
class Ascent:
    """How far, how often and where the walk may step."""

    epsilon: float
    p: float
    steps: int
    step_size: float | None
    box: Box | None
    keep: str = "best"

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        if self.p not in (2, np.inf):
            raise ValueError(f"p is the norm that epsilon bounds, 2 or inf; got {self.p!r}")
        if self.steps < 1:
            raise ValueError(f"steps is a number of steps and must be at least 1, got {self.steps}")
        if not 0 < self.length < np.inf and self.epsilon:
            raise ValueError(
                f"step_size is a length in the units of x and must be finite and positive, got {self.length}"
            )
        if self.keep not in KEEP:
            raise ValueError(f"unknown keep={self.keep!r}; expected one of {', '.join(map(repr, KEEP))}")

    @property
    def length(self) -> float:
        """Of one step; unless given, all of them lead 2.5 times as far as the ball (Madry et al. 2018)."""
        return 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size

    def climb(
        self,
        net: Layer,
        x: Images,
        labels: Labels,
        objective: AttackObjective,
        start: Callable[[Tensor], Tensor] = lambda x: x,
        restarts: int = 1,
    ) -> AttackResult:
        """The best of several walks up the objective, each from another start(x)."""
        x = accept(net, x, self.box)
        origin = value_and_gradient(net, x, objective)
        labels = check_labels(labels, *origin.logits.shape)
        best = Best(x)
        with no_grad():
            for _ in range(restarts):
                y = start(x)
                here = origin if y is x else value_and_gradient(net, y, objective)
                for k in range(1, self.steps + 1):
                    y = self.inside(x, y - x + self._step(here.gradient))
                    here = value_and_gradient(net, y, objective)
                    if k == self.steps or self.keep == "best":
                        best.offer(y, here.values.numpy(), argmax(here.logits) != labels, k)
        return conclude(net, x, best.points, labels, origin, self.p, best.steps, self._warnings())

    def inside(self, x: Tensor, delta: Tensor) -> Tensor:
        """x + delta, projected to the ball and then to the box."""
        rows = lp.project(reshape(delta, (x.shape[0], -1)), self.p, self.epsilon)
        return boxed(x + reshape(rows, x.shape), self.box)

    def _step(self, g: Tensor) -> Tensor:
        rows = reshape(g, (g.shape[0], -1))
        q = lp.dual(self.p)
        return reshape(lp.steepest(rows, lp.length(rows, q), q), g.shape) * self.length

    def _warnings(self) -> tuple[str, ...]:
        reach = self.steps * self.length
        if reach >= self.epsilon * (1 - 1e-9):
            return ()
        return (
            f"{self.steps} steps of {self.length:g} reach {reach:g} of epsilon {self.epsilon:g}: more or longer steps",
        )


# fmt: off
def bim(
    net: Layer, x: Images, labels: Labels, epsilon: float, *,
    p: float = np.inf, steps: int = 10, step_size: float | None = None,
    box: Box | None = None, keep: str = "best", saturating: bool = False,
) -> AttackResult:
    """Small steps up the loss from x, each projected to the ball of size epsilon (basic iterative method).

    x: (N, ...); labels: (N,)
    epsilon: size of the ball, in the units of x
    p: the norm of the ball and of the result, inf or 2: steps go along the sign of the gradient (inf) or along it (2)
    step_size: in the units of x; 2.5 epsilon / steps unless given
    box: lowest and highest pixel; every point is clipped to it if it is given
    keep: "best" step of each sample (one that fools the net before one that does not, then the highest loss), or "last"
    saturating: see `fgsm`

    Source: Kurakin et al. 2017.

    >>> robust.bim(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).norms  # the logits are the pixels
    array([0.6])
    """
    return Ascent(epsilon, p, steps, step_size, box, keep).climb(net, x, labels, rising(labels, saturating))


def pgd(
    net: Layer, x: Images, labels: Labels, epsilon: float, *,
    p: float = np.inf, steps: int = 40, step_size: float | None = None, restarts: int = 1,
    rng: Rng = 0, box: Box | None = None, keep: str = "best", saturating: bool = False,
) -> AttackResult:
    """Small steps up the loss from random points of the ball of size epsilon; the best of several restarts.

    As `bim`, but each restart begins at a point drawn uniformly from the ball.
    restarts: number of starting points. rng: a seed or a generator. Source: Madry et al. 2018.

    >>> robust.pgd(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6, restarts=2).success
    array([ True])
    """
    if restarts < 1:
        raise ValueError(f"restarts is a number of starting points and must be at least 1, got {restarts}")
    ascent = Ascent(epsilon, p, steps, step_size, box, keep)
    rng = np.random.default_rng(rng)

    def start(x: Tensor) -> Tensor:
        noise = (epsilon * uniform(rng, x.shape, p)).astype(x.dtype)
        return ascent.inside(x, Tensor(noise).to(x.device))

    return ascent.climb(net, x, labels, rising(labels, saturating), start, restarts)


def cw_linf(
    net: Layer, x: Images, labels: Labels, epsilon: float, *,
    kappa: float = 50.0, steps: int = 10, step_size: float | None = None, box: Box | None = None, keep: str = "best",
) -> AttackResult:
    """Small steps up the margin of logits that Carlini & Wagner attack, until a wrong class leads by kappa.

    As `bim` with p = inf, but up -relu(z_t - max_{j≠t} z_j + kappa).
    kappa: lead in units of the logits; a sample stands still where its wrong class leads by more.
    Source: Carlini & Wagner 2017; logit-gradient regularisation (Yu et al. 2018), section 4.

    >>> robust.cw_linf(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success
    array([ True])
    """
    objective: AttackObjective = lambda z: -relu(kappa - margin(z, labels))
    return Ascent(epsilon, np.inf, steps, step_size, box, keep).climb(net, x, labels, objective)
# fmt: on


def uniform(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    """Points spread evenly over the ball ‖·‖_p ≤ 1, p = 2 or infinite, one per sample. Result: (N, ...), float64.

    In the l2 ball of dimension D the direction is that of a normal variate, and the radius^D is uniform in [0, 1).
    """
    if p == np.inf:
        return rng.uniform(-1, 1, shape)
    g = rng.standard_normal(shape).reshape(shape[0], -1)
    radius = rng.random((shape[0], 1))
    points: np.ndarray = g / np.linalg.norm(g, axis=1, keepdims=True) * radius ** (1 / g.shape[1])
    return points.reshape(shape)
