"""Attacks that ask for no gradient: what they fool and a gradient attack does not shows that the gradient misleads.

Random noise in the corners of the l∞ ball, and random squares (Square attack, Andriushchenko et al. 2020, algorithms 1
and 2), which needs the logits only.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.robust.attacks.base import Task, check_count, check_epsilon
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Flags, Images, Labels

SHARE = 0.8  # of the pixels that the first square covers
HALVED_AT = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # shares of the queries after which the area halves


# fmt: off
@evaluated
def random_noise(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    samples: int = 10, rng: Rng = 0, box: Box | None = None,
) -> AttackResult:
    """The best of several x ± epsilon with random signs: a probe that knows nothing of the net.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    epsilon: l∞ size, in the units of x
    samples: random samples for each image; rng: a seed or a generator
    box: lowest and highest pixel; the result is clipped to it if it is given

    Norms are l∞; iterations count the samples until the best one.

    >>> robust.random_noise(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success
    array([ True])
    """
    # fmt: on
    _check(epsilon, "samples", samples)
    task = Task(net, x, labels, box)
    rng = np.random.default_rng(rng)
    start = task.at_x(task.aim.lead)
    best = Best(task.x)
    with no_grad():
        for k in range(1, samples + 1):
            noise = rng.choice([-1.0, 1.0], task.x.shape)
            y = Tensor(_moved(task.x.numpy(), noise, epsilon, box)).to(task.x.device)
            logits = net(y)
            best.offer(y, task.aim.lead(logits).numpy(), task.aim.reached(logits), k)
    return task.conclude(best.points, start, np.inf, best.steps)


# fmt: off
@evaluated
def square(
    net: Layer, x: Images, labels: Labels | None, epsilon: float, *,
    steps: int = 500, rng: Rng = 0, box: Box | None = None,
) -> AttackResult:
    """Random squares of ± epsilon, kept where they raise the margin of a wrong class: needs logits, no gradient.

    x: (N, C, H, W), starting from vertical stripes, or (N, D), which is taken for an image of one row
    labels: (N,), or None for the classes that the net gives
    epsilon: l∞ size, in the units of x
    steps: squares, at most; one that changes no pixel asks the net nothing, and a sample that is fooled stays as it is
    rng: a seed or a generator
    box: lowest and highest pixel; the result is clipped to it if it is given

    Norms are l∞; iterations are the squares until a sample was fooled.
    Source: Andriushchenko et al. 2020, algorithms 1 and 2.

    >>> robust.square(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).success
    array([ True])
    """
    # fmt: on
    _check(epsilon, "steps", steps)
    task = Task(net, x, labels, box)
    rng = np.random.default_rng(rng)
    start = task.at_x(task.aim.lead)
    x = task.x.numpy()
    n, c, h, w = x.shape if x.ndim == 4 else (len(x), 1, 1, x.shape[1])
    signs = np.zeros((n, c, h, w))
    points = x.copy()
    leads = np.full(n, -np.inf)
    going = np.ones(n, bool)
    tries = np.zeros(n, np.int64)
    with no_grad():
        for k in range(steps):
            if k == 0:
                tried = np.broadcast_to(rng.choice([-1.0, 1.0], (n, c, 1, w)), signs.shape)
            else:
                tried = np.where(_windows(rng, n, h, w, area(k / steps)), rng.choice([-1.0, 1.0], (n, c, 1, 1)), signs)
            tries[going] += 1
            moved = _moved(x, tried, epsilon, box)
            new = (moved != points).reshape(n, -1).any(1)  # the others would get the answer that they have
            at = np.flatnonzero(going & new)
            if not at.size:
                continue
            aim = task.aim.some(at)
            logits = net(Tensor(moved[at]).to(task.x.device))
            now = aim.lead(logits).numpy()
            fooled = aim.reached(logits)
            higher = fooled | (now > leads[at])
            kept = at[higher]
            signs[kept] = tried[kept]
            points[kept] = moved[kept]
            leads[kept] = now[higher]
            going[at[fooled]] = False
            if not going.any():
                break
    return task.conclude(Tensor(points).to(task.x.device), start, np.inf, tries)


def _moved(x: np.ndarray, signs: np.ndarray, epsilon: float, box: Box | None) -> np.ndarray:
    """x + epsilon · signs, in the box. x: (N, ...), signs: as many numbers."""
    moved: np.ndarray = x + x.dtype.type(epsilon) * signs.reshape(x.shape).astype(x.dtype)
    return moved if box is None else moved.clip(*box)


def _windows(rng: np.random.Generator, n: int, h: int, w: int, share: float) -> Flags:
    """A square at random in each image that covers this share of it, or as long as it must be. Result: (n, 1, h, w)."""
    height = min(max(round(math.sqrt(share * h * w)), math.ceil(share * h)), h)
    width = min(max(1, round(share * h * w / height)), w)
    top, left = (rng.integers(0, most + 1, (n, 1, 1, 1)) for most in (h - height, w - width))
    row = np.arange(h)[:, None] - top
    column = np.arange(w) - left
    inside: Flags = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return inside


def area(progress: float) -> float:
    """The share of the pixels in a square after this share of the queries."""
    return SHARE * 0.5 ** int(np.searchsorted(HALVED_AT, progress, "right"))


def _check(epsilon: float, name: str, count: int) -> None:
    check_epsilon(epsilon)
    check_count(name, "queries", count)
