"""What all attacks share: their result, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.data import check_images
from tinygrad2.nn import Layer
from tinygrad2.ops import norm, reshape

Integers = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Diagnostic:
    """Whether an attack had a gradient to follow, and the signs that it was misled (gradient masking)."""

    zero_gradients: float  # share of the samples classified right at x whose gradient there is exactly 0
    loss_change: float  # mean cross-entropy at the adversarial points minus that at x
    probes: Mapping[str, float] = field(default_factory=dict)  # share of the samples that each honesty check fools
    warnings: tuple[str, ...] = ()  # sentences


@dataclass(frozen=True)
class AttackResult:
    """What an attack found, per sample."""

    adversarial: Tensor  # (N, ...), the perturbed batch
    success: Flags  # (N,): the net gets the perturbed sample wrong
    norms: np.ndarray[Any, Any]  # (N,) size of the perturbation, in the attack's own norm
    iterations: Integers  # (N,) steps taken
    diagnostic: Diagnostic | None = None


def accept(net: Layer, x: Any) -> Tensor:
    """The batch as a constant Tensor on the net's device; raises TypeError or ValueError for what a net cannot take."""
    x = x.detach() if isinstance(x, Tensor) else Tensor(x)
    check_images(x.numpy())
    first = next(iter(net.parameters()), None)
    if first is not None and first.dtype != x.dtype:
        raise TypeError(f"the images are {x.dtype}, the network {first.dtype}; convert one: x.astype(np.{first.dtype})")
    return x if first is None else x.to(first.device)


def argmax(z: Tensor) -> Integers:
    """The predicted classes on the host. z: (N, K), K ≥ 2."""
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(f"the network must give logits (N, K) for K ≥ 2 classes; got shape {z.shape}")
    return z.numpy().argmax(1).astype(np.int64)


def sizes(x: Tensor) -> Tensor:
    """‖x_i‖₂ of each sample, the divisor of ρ. x: (N, ...); result: (N,). Raises ValueError for a sample of zeros."""
    lengths = norm(reshape(x, (x.shape[0], -1)), 1)
    if not lengths.numpy().all():
        raise ValueError(f"image {int(lengths.numpy().argmin())} is all zeros: ρ = ‖Δ‖/‖x‖ is not defined for it")
    return lengths
