"""ρ: how large the smallest perturbation that fools a network is, relative to the image."""

from __future__ import annotations

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.base import accept, sizes
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.metrics.accuracy import Progress, in_batches


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
    """‖Δ_i‖_p/‖x_i‖_p of each image, Δ from DeepFool in l_p, 1 ≤ p ≤ ∞. Misclassified images are included.

    The mean is Deep Defense's ρ₂ (equation 7); with max_iter=50 it is DeepFool's own ρ̂_adv, that of Jacobian
    regularisation's tables.
    """

    def ratios(part: slice) -> np.ndarray:
        images = accept(net, x[part])
        divisors = sizes(images, p).numpy()
        return deepfool(net, images, p=p, mode=mode, max_iter=max_iter).norms / divisors

    return in_batches(ratios, len(x), batch_size, progress)
