"""What Deep Defense and the smooth gradient method do to CIFAR-10 before training: equal contrast, then ZCA whitening.

As in Coates, Ng & Lee, An analysis of single-layer networks in unsupervised feature learning, 2011, with the constants
that the reference networks of Deep Defense were trained with. Every statistic is one of the training images.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .dataset import Dataset, centre

__all__ = ["normalize_contrast", "whiten", "zca"]

LEAST_CONTRAST = 40.0  # of pixels 0-255: the contrast of a flatter image is not raised to the mean
LEAST_DEVIATION = 10.0  # a direction in which the images vary less is not scaled up either


def whiten(dataset: Dataset) -> Dataset:
    """The data set centred, its contrast normalised, and whitened: no box, and no way back to pixels.

    Takes about 15 s for 25,000 CIFAR-10 images. Raises ValueError if it is centred already.
    Source: Coates, Ng & Lee 2011, with the constants of the reference networks of Deep Defense.
    """
    centred = centre(dataset)
    train, test = (x.reshape(len(x), -1) for x in (centred.x_train, centred.x_test))
    contrast = float(train.std(axis=1, dtype=np.float64).mean())
    train = normalize_contrast(train, contrast)
    test = normalize_contrast(test, contrast)
    matrix = zca(train)
    x_train, x_test = ((x @ matrix).reshape(-1, *dataset.x_train.shape[1:]) for x in (train, test))
    return replace(centred, x_train=x_train, x_test=x_test, mean=None, range=None)


def normalize_contrast(x: np.ndarray, contrast: float) -> np.ndarray:
    """Each image less its mean, times contrast/max(σ, 40), σ its standard deviation. x: (N, D), of pixels 0-255."""
    deviation = x.std(axis=1, keepdims=True)
    equal: np.ndarray = (x - x.mean(axis=1, keepdims=True)) * (
        x.dtype.type(contrast) / np.maximum(deviation, LEAST_CONTRAST)
    )
    return equal


def zca(x: np.ndarray) -> np.ndarray:
    """The symmetric (D, D) matrix V diag(s/max(σ_i, 10)) Vᵀ, of x's dtype; x: (N, D).

    σ_i² and V are the eigenvalues and eigenvectors of xᵀx/N, and s the root of their mean: the size of x stays.
    """
    variances, v = np.linalg.eigh((x.T @ x).astype(np.float64) / len(x))
    scale = np.sqrt(variances.mean()) / np.maximum(np.sqrt(np.maximum(variances, 0)), LEAST_DEVIATION)
    matrix: np.ndarray = (v * scale) @ v.T
    return matrix.astype(x.dtype)
