"""What all attacks share: their result, the checks of what they are given, and an objective with its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad, vjp
from tinygrad2.data import check_images
from tinygrad2.nn import Layer
from tinygrad2.ops import clip, cross_entropy, gather, reshape
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust import lp
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels

AttackObjective: TypeAlias = Callable[[Tensor], Tensor]  # what an attack wants to be large: (N, K) logits to (N,)


@dataclass(frozen=True)
class Diagnostic:
    """Whether an attack had a gradient to follow, and the signs that the gradient misled it (gradient masking).

    zero_gradients: share in [0, 1] of the correctly classified samples whose gradient at x is exactly 0
    loss_change: mean cross-entropy at the adversarial points minus that at x
    probes: for each probe of `diagnose`, the share of the samples in [0, 1] that it fools
    warnings: sentences
    """

    zero_gradients: float
    loss_change: float
    probes: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class AttackResult:
    """What an attack found, for each of N samples.

    adversarial: (N, ...), the perturbed batch
    success: (N,), whether the network gets the perturbed sample wrong
    norms: (N,), size of the perturbation in the norm that `norm` names, in the units of x
    iterations: (N,), steps taken
    diagnostic: what the attack can tell of itself
    norm: "l2", "l∞" ...

    >>> robust.fgsm(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6)  # the logits are the pixels
    AttackResult(1 of 1 fooled; l∞ norms 0.6 to 0.6, mean 0.6; 1 to 1 iterations; images (2,))
    """

    adversarial: Tensor
    success: Flags
    norms: np.ndarray
    iterations: Integers
    diagnostic: Diagnostic | None = None
    norm: str = ""

    def __repr__(self) -> str:
        sizes = f"{self.norm} norms {self.norms.min():.4g} to {self.norms.max():.4g}, mean {self.norms.mean():.4g}"
        steps = f"{self.iterations.min()} to {self.iterations.max()} iterations"
        counts = f"{self.success.sum():,} of {len(self.success):,} fooled"
        return f"{type(self).__name__}({counts}; {sizes.lstrip()}; {steps}; images {self.adversarial.shape[1:]})"


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
        """∂values_i/∂x_i, (N, ...), a constant."""
        return self.compute()


def accept(net: Layer, x: Images, box: Box | None = None) -> Tensor:
    """The batch as a constant Tensor on the net's device; raises TypeError or ValueError for what a net cannot take."""
    x = x.detach() if isinstance(x, Tensor) else Tensor(x)
    if box is not None and not box[0] < box[1]:
        raise ValueError(f"the box is the range (lowest, highest) of the pixels, got {box}")
    check_images(x.numpy(), box=box)
    first = next(iter(net.parameters()), None)
    if first is not None and first.dtype != x.dtype:
        raise TypeError(f"the images are {x.dtype}, the network {first.dtype}; convert one: x.astype(np.{first.dtype})")
    return x if first is None else x.to(first.device)


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless epsilon is a size."""
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon is a size in the units of x and must be finite and not negative, got {epsilon}")


def argmax(z: Tensor) -> Integers:
    """The predicted classes on the host. z: (N, K), K ≥ 2; result: (N,)."""
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(f"the network must give logits (N, K) for K ≥ 2 classes; got shape {z.shape}")
    classes: Integers = z.detach().numpy().argmax(1)
    return classes


def correct(net: Layer, x: Images, labels: Labels) -> Flags:
    """Which samples the net classifies as labelled, on the host. x: (N, ...); labels, result: (N,)."""
    with no_grad():
        logits = net(accept(net, x))
    right: Flags = argmax(logits) == check_labels(labels, *logits.shape)
    return right


def sizes(x: Tensor, p: float = 2) -> Tensor:
    """‖x_i‖_p of each sample, the divisor of ρ. x: (N, ...); result: (N,). Raises ValueError for a sample of zeros."""
    lengths = reshape(lp.length(reshape(x, (x.shape[0], -1)), p), (-1,))
    if not lengths.detach().numpy().all():
        raise ValueError(
            f"image {int(lengths.detach().numpy().argmin())} is all zeros: ρ = ‖Δ‖/‖x‖ is not defined for it"
        )
    return lengths


def lengths(delta: Tensor, p: float) -> np.ndarray:
    """‖δ_i‖_p of each sample on the host. delta: (N, ...); result: (N,)."""
    with no_grad():
        return lp.length(reshape(delta, (delta.shape[0], -1)), p).numpy()[:, 0]


def boxed(x: Tensor, box: Box | None) -> Tensor:
    """x clipped to the range of the pixels, if one is given."""
    return x if box is None else clip(x, *box)


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
        logits, net_pullback = vjp(net, x)
        values, objective_pullback = vjp(objective, logits)
    ones = Tensor(np.ones(values.shape, values.dtype)).to(values.device)
    return ValueAndGradient(logits, values, lambda: net_pullback(*objective_pullback(ones))[0])


def observed(before: Tensor, after: Tensor, labels: Labels, flat: Flags, warnings: tuple[str, ...] = ()) -> Diagnostic:
    """What every attack can tell of itself. before, after: logits (N, K) at both ends; flat: (N,), no gradient at x."""
    right = argmax(before) == labels
    change = (cross_entropy(after, labels) - cross_entropy(before, labels)).item()
    return Diagnostic(float(flat[right].mean()) if right.any() else 0.0, change, warnings=warnings)


def conclude(
    net: Layer,
    x: Tensor,
    adversarial: Tensor,
    labels: Labels,
    start: ValueAndGradient,
    p: float,
    iterations: Integers,
    warnings: tuple[str, ...] = (),
) -> AttackResult:
    """What the net says at the points found, and how the attack fared. start: the attack's objective at x."""
    with no_grad():
        labels = check_labels(labels, *start.logits.shape)
        logits = net(adversarial)
        flat = lengths(start.gradient, np.inf) == 0
        seen = observed(start.logits, logits, labels, flat, warnings)
        norms = lengths(adversarial - x, p)
        return AttackResult(adversarial, argmax(logits) != labels, norms, iterations, seen, lp.name(p))
