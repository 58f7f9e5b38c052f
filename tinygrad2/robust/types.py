"""The types of what attacks, penalties and defenses are given."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor

Images: TypeAlias = Tensor | np.ndarray  # (N, C, H, W) or (N, D)
Labels: TypeAlias = Tensor | np.ndarray | list[int] | tuple[int, ...]  # N integers in [0, K)
Box: TypeAlias = tuple[float, float]  # the range of the pixels: lowest, highest
Integers: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Flags: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Targets: TypeAlias = int | Integers  # the class that every image is to reach, or one for each of N images
