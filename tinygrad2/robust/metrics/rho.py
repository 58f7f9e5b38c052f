"""ρ: how large the smallest perturbation that fools a network is, relative to the image."""

from __future__ import annotations

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.base import sizes
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.evaluation import accept


def rho(
    net: Layer,
    x: np.ndarray,
    *,
    p: float = 2,
    mode: str = "corrected",
    max_iter: int = 5,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> np.ndarray:
    """‖Δ_i‖_p/‖x_i‖_p of each image, Δ from DeepFool in l_p. Misclassified images are included.

    x: (N, ...); result: (N,)
    p: 1 ≤ p ≤ ∞
    mode, max_iter: DeepFool's

    The mean is Deep Defense's ρ₂ (equation 7); with max_iter=50 it is DeepFool's own ρ̂_adv, that of Jacobian
    regularisation's tables. The net is in evaluation mode meanwhile. Raises ValueError for an image of zeros, and for
    logits that are not finite.

    >>> robust.rho(nn.Flatten(), np.array([[2.0, 1.0]])).round(3)  # 1.02/√2 over √5: the logits are the pixels
    array([0.323])
    """

    def ratios(part: slice) -> np.ndarray:
        images = accept(net, x[part])
        divisors = sizes(images, p).numpy()
        relative: np.ndarray = deepfool(net, images, p=p, mode=mode, max_iter=max_iter).norms / divisors
        return relative

    return in_batches(ratios, len(x), batch_size, progress)
