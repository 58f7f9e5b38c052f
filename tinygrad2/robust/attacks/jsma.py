"""The Jacobian-based saliency map attack (Papernot et al. 2016, section III): few pixels, each changed by much.

A step changes the pixel i, or the pair of pixels, that serves the target class t best and the other classes worst:

    maximise  -α_i β_i   over   α_i = ∂z_t/∂x_i > 0   and   β_i = Σ_{j≠t} ∂z_j/∂x_i < 0      (equations 8 to 10)

A pair has the sums of its two pixels' α and β. Both rows come from one reverse pass, cotangents e_t and 1 - e_t.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer, Sequential, Softmax, Trace
from tinygrad2.ops import concatenate, reshape
from tinygrad2.robust.attacks.base import Task, boxed, runner_up
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.evaluation import evaluated
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels, Targets


@evaluated
def jsma(
    net: Layer,
    x: Images,
    labels: Labels | None,
    *,
    box: Box,
    theta: float | None = None,
    steps: int = 80,
    gamma: float | None = None,
    pairs: bool = False,
    targets: Targets | None = None,
    softmax: bool = False,
) -> AttackResult:
    """Change one pixel a step, or a pair, where the saliency map is largest, until the class changes.

    x: (N, ...); labels: (N,), or None for the classes that the net gives
    box: lowest and highest pixel; a pixel at its end is left out
    theta: added to a pixel, negative to darken; by default the size of the box
    steps: at most
    gamma: share of the pixels that may change, instead of steps (0.145 in the paper's experiments)
    targets: a class, or N of them, to be reached; by default the runner-up of each image, and any wrong label will do.
        An image whose label is its target stays, and does not count as fooled.
    softmax: take derivatives of the probabilities. They sum to 1, so β = -α, the map is α² and says less; and it
        underflows for a confident net.

    Norms are l0: the number of entries changed. A sample without a valid pixel stops. Raises ValueError for an option
    out of range, and for logits that are not finite. Source: Papernot et al. 2016, section III, equations 8 to 10.

    >>> x = np.array([[0.6, 0.5, 0.0]])  # the logits are the pixels
    >>> robust.jsma(nn.Flatten(), x, [0], box=(0.0, 1.0), softmax=True).adversarial.numpy()
    array([[0.6, 1. , 0. ]])
    """
    task = Task(net, x, labels, box, targets)
    x = task.x
    theta = float(box[1] - box[0] if theta is None else theta)
    steps = _steps(steps, gamma, x.size // x.shape[0], pairs)
    if theta == 0 or not np.isfinite(theta):
        raise ValueError(f"theta is added to a pixel and must be finite and not 0, got {theta}")
    model = Sequential(net, Softmax()) if softmax else net
    find = _most_salient_pair if pairs else _most_salient
    aim = task.aim
    goal = runner_up(task.logits, aim.labels) if aim.targets is None else aim.targets
    with no_grad():
        n = x.shape[0]
        iterations = np.zeros(n, np.int64)
        # Of the samples that still move: where they are in the batch, and their images.
        at = np.arange(n)
        here = x
        ended: list[tuple[Integers, Tensor]] = []
        for i in range(steps + 1):
            trace = model.trace(here)
            iterations[at] = i
            a, b = _rows(trace, goal[at], theta)
            change, found = find(_to_one(a), _to_one(b), _free(here, theta, box))
            stop = aim.some(at).reached(trace.output) | (goal[at] == aim.labels[at]) | ~found | (i == steps)
            if stop.any():
                ended.append((at[stop], here[stop]))
            at = at[~stop]
            if not at.size:
                break
            moves = Tensor(theta * change[~stop].astype(x.dtype)).to(x.device)
            here = boxed(here[~stop] + reshape(moves, (len(at), *x.shape[1:])), box)
        adversarial = concatenate([piece for _, piece in ended])[np.argsort(np.concatenate([s for s, _ in ended]))]
    return task.conclude(adversarial, task.at_x(aim.lead), 0, iterations)


def _to_one(rows: np.ndarray) -> np.ndarray:
    """The rows (n, D) over the largest size in each, so that no product of two of them overflows or vanishes."""
    largest = np.abs(rows).max(1, keepdims=True)
    scaled: np.ndarray = np.divide(rows, largest, out=np.zeros_like(rows), where=(largest > 0) & np.isfinite(largest))
    return scaled


def _steps(steps: int, gamma: float | None, pixels: int, pairs: bool) -> int:
    if gamma is not None:
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma is the share of the pixels that may change, in (0, 1], got {gamma}")
        steps = int(gamma * pixels / (2 if pairs else 1))
    if steps < 1:
        raise ValueError(f"JSMA: the number of steps must be at least 1, got {steps}")
    return steps


def _rows(trace: Trace, t: Integers, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """α and -β of each sample, for a step in the direction of theta: (n, D) each, both to be positive."""
    target = np.eye(trace.output.shape[1], dtype=trace.output.dtype)[t]
    rows = trace.reverse()(np.stack([target, 1 - target])).numpy().reshape(2, len(t), -1)
    return (rows[0], -rows[1]) if theta > 0 else (-rows[0], rows[1])


def _free(x: Tensor, theta: float, box: Box) -> Flags:
    """Which pixels have not reached the end of the box that theta moves them to. Result: (n, D)."""
    values = x.numpy().reshape(x.shape[0], -1)
    return values < box[1] if theta > 0 else values > box[0]


def _most_salient(a: np.ndarray, b: np.ndarray, free: Flags) -> tuple[Flags, Flags]:
    """The pixel of largest a·b, a, b > 0: (n, D), one True a sample; and whether there is one: (n,)."""
    product: np.ndarray = np.where(free & (a > 0) & (b > 0), a * b, -1)
    return np.arange(a.shape[1]) == product.argmax(1)[:, None], product.max(1) >= 0


def _most_salient_pair(a: np.ndarray, b: np.ndarray, free: Flags) -> tuple[Flags, Flags]:
    """The pair of largest (a_p + a_q)·(b_p + b_q), both sums > 0: (n, D), two True a sample; and whether there is one.

    A pixel that two others beat in both a and b is in no best pair that they could not improve; few are left.
    """
    chosen = np.zeros(a.shape, bool)
    found = np.zeros(len(a), bool)
    for i in range(len(a)):
        left = _unbeaten(a[i], b[i], np.flatnonzero(free[i]))
        sum_a, sum_b = (np.add.outer(v[i, left], v[i, left]) for v in (a, b))
        valid = (sum_a > 0) & (sum_b > 0) & ~np.eye(len(left), dtype=bool)
        found[i] = valid.any()
        if found[i]:
            best = np.where(valid, sum_a * sum_b, -1).argmax()
            chosen[i, left[list(np.unravel_index(best, valid.shape))]] = True
    return chosen, found


def _unbeaten(a: np.ndarray, b: np.ndarray, among: Integers) -> Integers:
    """Those pixels that fewer than two others equal or exceed in both a and b (which of equal ones stay: the first)."""
    order = among[np.argsort(-a[among], kind="stable")]
    largest = np.maximum.accumulate(b[order])
    before = np.r_[-np.inf, largest][: len(order)]  # the largest b of those with larger a, ...
    second = np.maximum.accumulate(np.minimum(b[order], before))  # ... and the second largest
    left: Integers = order[b[order] > np.r_[-np.inf, second][: len(order)]]
    return left
