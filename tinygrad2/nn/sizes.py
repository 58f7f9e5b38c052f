"""Sizes that layers check before they compute anything."""

from __future__ import annotations

from tinygrad2.autodiff import Tensor
from tinygrad2.ops.functional import Size


def pair(value: Size) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def check_counts(**counts: Size) -> None:
    for name, value in counts.items():
        if min(pair(value)) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def plane(x: Tensor) -> tuple[int, int]:
    """H and W. x: (N, C, H, W)."""
    shape = x.shape
    if len(shape) != 4:
        raise ValueError(f"expected images (N, C, H, W), got shape {shape}")
    return shape[2], shape[3]
