"""scikit-learn's bundled handwritten digits: 1,797 scans of 8 x 8, there without any download.

Scaled to MNIST's range, and on request to MNIST's size, so that what runs on one runs on the other.
Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
"""

from __future__ import annotations

import operator

import numpy as np

from .dataset import Dataset

__all__ = ["digits"]

N_TEST = 360  # of 1,797: a fifth


def digits(upsample: int | None = None, seed: int = 0) -> Dataset:
    """The digits that come with scikit-learn, 1,437 training and 360 test images (N, 1, 8, 8), pixels in [0, 255].

    upsample: side length of the bilinearly enlarged images, at least 8: 28 gives (N, 1, 28, 28) like MNIST
    seed: of the split, which keeps the proportions of the classes
    Raises ModuleNotFoundError without scikit-learn, ValueError for too small a side.

    >>> data.digits().x_test.shape
    (360, 1, 8, 8)
    """
    side = 8 if upsample is None else operator.index(upsample)
    if side < 8:
        raise ValueError(f"digits: upsample: expected None or a side length of at least 8, got {upsample}")
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "digits: the images come with scikit-learn, which is not installed: pip install 'tinygrad2[lab]'"
        ) from missing
    scans = load_digits()
    x = scans.images * (255 / 16)  # the scans count pixels of 4 x 4 blocks: 0 to 16
    if side != 8:
        enlarge = _interpolation(8, side)
        x = enlarge @ x @ enlarge.T
    x = x[:, None].astype(np.float32)
    y = scans.target.astype(np.int64)
    train, test = _stratified_split(y, N_TEST, seed)
    return Dataset("digits", x[train], y[train], x[test], y[test], tuple("0123456789"), box=(0.0, 255.0))


def _interpolation(old: int, new: int) -> np.ndarray:
    """The (new, old) float64 matrix of linear interpolation between pixel centres; its rows sum to 1."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - abs(at[:, None] - np.arange(old)))  # a hat function round each old pixel


def _stratified_split(labels: np.ndarray, n_test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (N - n_test,) and (n_test,), both shuffled, every class shared out in proportion."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    depth = np.empty(len(labels))  # how far through its own class a sample comes, in (0, 1)
    for label in np.unique(labels):
        own = labels[order] == label
        depth[own] = (np.arange(own.sum()) + 0.5) / own.sum()
    in_test = np.zeros(len(labels), dtype=bool)
    in_test[np.argsort(depth, kind="stable")[:n_test]] = True
    # Shuffled again: near the cut, `order` has only the classes whose share of the test images is used up.
    return rng.permutation(order[~in_test]), rng.permutation(order[in_test])
