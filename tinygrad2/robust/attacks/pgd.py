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
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.base import AttackObjective, Task, boxed, check_count, check_epsilon
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Images, Labels, Targets

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
        check_ball(self.p)
        check_count("steps", "steps", self.steps)
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
        task: Task,
        objective: AttackObjective,
        start: Callable[[Tensor], Tensor] = lambda x: x,
        restarts: int = 1,
    ) -> AttackResult:
        """The best of several walks up the objective, each from another start(x)."""
        x = task.x
        origin = task.at_x(objective)
        best = Best(x)
        with no_grad():
            for _ in range(restarts):
                y = start(x)
                here = origin if y is x else task.at(y, objective)
                for k in range(1, self.steps + 1):
                    y = inside(x, y - x + self._step(here.gradient), self.p, self.epsilon, self.box)
                    here = task.at(y, objective)
                    if k == self.steps or self.keep == "best":
                        best.offer(y, here.values.numpy(), task.aim.reached(here.logits), k)
        return task.conclude(best.points, origin, self.p, best.steps, self._warnings())

    def _step(self, g: Tensor) -> Tensor:
        return steepest(g, self.p) * self.length

    def _warnings(self) -> tuple[str, ...]:
        reach = self.steps * self.length
        if reach >= self.epsilon * (1 - 1e-9):
            return ()
        return (
            f"{self.steps} steps of {self.length:g} reach {reach:g} of epsilon {self.epsilon:g}: more or longer steps",
        )


def check_ball(p: float) -> None:
    """Raise ValueError unless there is a projection to the ball of this norm."""
    if p not in (2, np.inf):
        raise ValueError(f"p is the norm that epsilon bounds, 2 or inf; got {p!r}")


def inside(x: Tensor, delta: Tensor, p: float, epsilon: float, box: Box | None) -> Tensor:
    """x + delta, projected to the ball ‖delta‖_p ≤ epsilon and then to the box. x, delta: (N, ...)."""
    rows = lp.project(reshape(delta, (x.shape[0], -1)), p, epsilon)
    return boxed(x + reshape(rows, x.shape), box)


def steepest(g: Tensor, p: float) -> Tensor:
    """The step of ‖·‖_p = 1 of each sample that gains most along its gradient. g: (N, ...); result: like g."""
    rows = reshape(g, (g.shape[0], -1))
    q = lp.dual(p)
    return reshape(lp.steepest(rows, lp.length(rows, q), q), g.shape)


# fmt: off
@evaluated
def bim(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    p: float = np.inf, steps: int = 10, step_size: float | None = None,
    box: Box | None = None, targets: Targets | None = None, keep: str = "best", saturating: bool = False,
) -> AttackResult:
    """Small steps up the loss from x, each projected to the ball of size epsilon (basic iterative method).

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    epsilon: size of the ball, in the units of x
    p: the norm of the ball and of the result, inf or 2: steps go along the sign of the gradient (inf) or along it (2)
    step_size: in the units of x; 2.5 epsilon / steps unless given
    box: lowest and highest pixel; every point is clipped to it if it is given
    targets: a class, or N of them, to be reached: steps go down the loss of that class
    keep: "best" step of each sample (one that fools the net before one that does not, then the highest loss), or "last"
    saturating: see `fgsm`

    Raises ValueError for an option out of range, and for logits that are not finite. Source: Kurakin et al. 2017,
    "Adversarial examples in the physical world", equation 2; targeted: equation 3, for any class.

    >>> robust.bim(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).norms  # the logits are the pixels
    array([0.6])
    """
    ascent = Ascent(epsilon, p, steps, step_size, box, keep)
    task = Task(net, x, labels, box, targets)
    return ascent.climb(task, task.aim.rising(saturating))


@evaluated
def pgd(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    p: float = np.inf, steps: int = 40, step_size: float | None = None, restarts: int = 1, rng: Rng = 0,
    box: Box | None = None, targets: Targets | None = None, keep: str = "best", saturating: bool = False,
) -> AttackResult:
    """Small steps up the loss from random points of the ball of size epsilon; the best of several restarts.

    x: (N, ...); labels: (N,), or None. As `bim`, but each restart begins at a point drawn uniformly from the ball.
    restarts: number of starting points. rng: a seed or a generator. Raises as `bim`. Source: Madry et al. 2018, section
    2.1.

    >>> robust.pgd(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6, restarts=2).success
    array([ True])
    """
    check_count("restarts", "starting points", restarts)
    ascent = Ascent(epsilon, p, steps, step_size, box, keep)
    task = Task(net, x, labels, box, targets)
    rng = np.random.default_rng(rng)

    def start(x: Tensor) -> Tensor:
        noise = (epsilon * uniform(rng, x.shape, p)).astype(x.dtype)
        return inside(x, Tensor(noise).to(x.device), p, epsilon, box)

    return ascent.climb(task, task.aim.rising(saturating), start, restarts)


@evaluated
def cw_linf(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    kappa: float = 50.0, steps: int = 10, step_size: float | None = None,
    box: Box | None = None, targets: Targets | None = None, keep: str = "best",
) -> AttackResult:
    """Small steps up the margin of logits that Carlini & Wagner attack, until a wrong class leads by kappa.

    x: (N, ...); labels: (N,), or None. As `bim` with p = inf, but up -relu(z_t - max_{j≠t} z_j + kappa).
    kappa: lead in units of the logits; a sample stands still where its wrong class leads by more.
    targets: a class t, or N of them, to be reached: steps go up -relu(max_{j≠t} z_j - z_t + kappa)
    Raises as `bim`. Source: Carlini & Wagner 2017, section V-A, f6; logit-gradient regularisation (Yu et al. 2018),
    section 4.

    >>> robust.cw_linf(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success
    array([ True])
    """
    ascent = Ascent(epsilon, np.inf, steps, step_size, box, keep)
    task = Task(net, x, labels, box, targets)
    return ascent.climb(task, lambda z: -relu(kappa - task.aim.lead(z)))
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
