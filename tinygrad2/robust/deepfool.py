"""DeepFool (Moosavi-Dezfooli et al. 2016) for the l2 norm, as a recursive network that can be differentiated.

At each iteration the network is linearised at x + r, and r moves to the nearest linearised boundary (Deep Defense, equations 1 and 2):

    step = |f| / ‖w‖ · w / ‖w‖,     f = z_k - z_l,   w = J_k - J_l = rev(e_k - e_l)

k is the class whose boundary is nearest. It is chosen with an unrecorded Jacobian of all classes; after that choice the gradient reaches only
one row of the Jacobian, so only this row is recorded. Iterates are differentiated through; the choice of k, masks, pooling indices and
"already fooled" are constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer, Trace
from tinygrad2.ops import abs, concatenate, gather, norm, ratio, reshape
from tinygrad2.robust.attack import AttackResult, accept, argmax

MODES = ("corrected", "coded")
CODED_EPSILON = 5e-6  # what the authors' code adds to every component inside a norm, on MNIST

Integers = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Walk:
    """Where DeepFool ended: delta (N, *x.shape[1:]) recorded on the tape, and constants per sample."""

    delta: Tensor
    logits: Tensor  # (N, K), of the unperturbed x
    fooled: Flags  # (N,)
    iterations: Integers  # (N,)


def walk(
    net: Layer, x: Tensor, labels: Integers | None = None, mode: str = "corrected", max_iter: int = 5, overshoot: float = 0.02
) -> Walk:
    """DeepFool from x. x: (N, ...).

    Without labels every sample leaves the class that it is given by the net. With labels (as in training), a misclassified sample walks to its
    true class instead, away from the class it has at each iteration. Tests success at x + (1 + overshoot)·r and returns (1 + overshoot)·r.
    mode: "corrected" uses the norm that is 0 with gradient 0 at 0; "coded" adds 5e-6 to each component inside norms, as the authors do.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; expected one of {', '.join(map(repr, MODES))}")
    trace = net.trace(x)
    logits = trace.output
    source = argmax(logits)
    goal = np.full_like(source, -1) if labels is None else np.where(source == labels, -1, labels)  # -1: any other class
    fooled, iterations = np.zeros(len(source), bool), np.zeros(len(source), np.int64)
    active, r = np.arange(len(source)), None
    ended: list[tuple[Integers, Tensor]] = []
    for i in range(max_iter):
        step = _step(trace, source[active], goal[active], mode)
        r = step if r is None else r + step
        with no_grad():
            now = argmax(net(x[active] + r * (1 + overshoot)))
        done = np.where(goal[active] < 0, now != source[active], now == goal[active])
        iterations[active] = i + 1
        fooled[active[done]] = True
        last = i + 1 == max_iter
        if last or done.any():
            stop = np.ones_like(done) if last else done
            ended.append((active[stop], r[stop]))
            active, r = active[~stop], r[~stop]
        if not active.size:
            break
        trace = net.trace(x[active] + r)
        targeted = goal[active] >= 0
        source[active[targeted]] = argmax(trace.output)[targeted]
    order = np.argsort(np.concatenate([samples for samples, _ in ended]))
    delta = concatenate([piece for _, piece in ended])[order] * (1 + overshoot)
    return Walk(delta, logits, fooled, iterations)


def _step(trace: Trace, source: Integers, goal: Integers, mode: str) -> Tensor:
    """The smallest move of each sample onto a boundary of the linearised net. Result: (n, *in)."""
    z = trace.output
    k = np.where(goal >= 0, goal, _nearest(trace, source, mode))
    f = _at(z, k) - _at(z, source)
    rows = np.arange(len(k))
    u = np.zeros(z.shape, z.dtype)
    np.add.at(u, (rows, k), 1)
    np.add.at(u, (rows, source), -1)
    w = reshape(trace.reverse()(u), (len(k), -1))
    length = _length(w, mode)
    step = ratio(abs(f), length) * ratio(w, length)
    return reshape(step, trace.input.shape)


@no_grad()
def _nearest(trace: Trace, source: Integers, mode: str) -> Integers:
    """For each sample the class whose linearised boundary is nearest: argmin |z_k - z_l| / ‖J_k - J_l‖ over k ≠ l."""
    z = trace.output
    n, classes = z.shape
    jacobian = reshape(trace.jacobian(), (classes, n, -1))
    w = jacobian - jacobian[source, np.arange(n)]
    distance = (abs(z - _at(z, source)).T / _length(w, mode)[..., 0]).numpy().copy()
    distance[source, np.arange(n)] = np.inf
    distance[np.isnan(distance)] = np.inf
    return distance.argmin(0)


def _length(w: Tensor, mode: str) -> Tensor:
    """‖w‖ over the last axis, kept. w: (..., D)."""
    return norm(w + CODED_EPSILON if mode == "coded" else w, -1, keepdims=True)


def _at(z: Tensor, k: Integers) -> Tensor:
    """z[i, k_i] for each sample. Result: (N, 1)."""
    return gather(z, k[:, None], 1)


def deepfool(net: Layer, x: Any, labels: Any = None, *, mode: str = "corrected", max_iter: int = 5, overshoot: float = 0.02) -> AttackResult:
    """The smallest l2 perturbation that DeepFool finds, for each image; no clipping. x: (N, ...).

    labels: only says which samples count as fooled in `success` (those that the net got wrong already are); the attack leaves the
    predicted class, as the paper's ρ₂ demands. Norms are l2. The net is used in the mode (train or eval) that it is in.
    """
    x = accept(net, x, labels)
    with no_grad():
        found = walk(net, x, None, mode, max_iter, overshoot)
        wrong = np.zeros_like(found.fooled) if labels is None else argmax(found.logits) != np.asarray(labels)
        norms = norm(reshape(found.delta, (len(wrong), -1)), 1).numpy()
    return AttackResult(x + found.delta, found.fooled | wrong, norms, found.iterations)
