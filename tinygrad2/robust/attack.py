"""What all attacks share: their result, and the checks of what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.data import check_images
from tinygrad2.nn import Layer


@dataclass(frozen=True)
class AttackResult:
    """What an attack found, per sample."""

    adversarial: Tensor  # (N, ...), the perturbed batch
    success: np.ndarray[Any, Any]  # (N,) bool: the net gets the perturbed sample wrong
    norms: np.ndarray[Any, Any]  # (N,) size of the perturbation, in the attack's own norm
    iterations: np.ndarray[Any, Any]  # (N,) steps taken


def accept(net: Layer, x: Any, labels: Any = None) -> Tensor:
    """The batch as a constant Tensor of the net's dtype and device, after the checks that give a clear error."""
    x = x.detach() if isinstance(x, Tensor) else Tensor(x)
    check_images(x.numpy(), None if labels is None else np.asarray(labels))
    first = next(iter(net.parameters()), None)
    if first is not None and first.dtype != x.dtype:
        raise TypeError(f"the images are {x.dtype}, the network {first.dtype}; convert one: x.astype(np.{first.dtype})")
    return x if first is None else x.to(first.device)


def argmax(z: Tensor) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The predicted classes on the host. z: (N, K)."""
    return z.numpy().argmax(1).astype(np.int64)
