"""The smooth gradient method (Mosca & Magoulas 2018, equations 15 and 21): the data set climbs its own loss.

Whenever an image is visited it moves along its own input gradient, x_i ← x_i + λ̄ ∂E_i/∂x_i, and stays there until the
next epoch's visit. E_i is the sample's own error: with the batch mean, λ̄ would be divided by the batch size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.robust.batches import Progress
from tinygrad2.robust.defenses.defense import Defense, Losses, Objective


class SmoothGradient(Defense):
    """The training images move along their own input gradients, once at each visit, for good.

    rate: λ̄, of the paper's -1 to 1
    noise: standard deviation of the zero-mean ε_t of equation 22
    Source: the smooth gradient method (Mosca & Magoulas 2018), equations 15 and 21.
    """

    def __init__(
        self, objective: Objective | None = None, *, rate: float = 0.2, noise: float = 0.0, rng: Rng = 0
    ) -> None:
        super().__init__(objective, rng)
        self.rate = rate
        self.noise = noise
        self.images: np.ndarray = np.empty(0)

    def start(self, net: Layer, images: np.ndarray, labels: np.ndarray, progress: Progress | None = None) -> None:
        """Copy the images, (M, ...), which move from here on. See `Defense.start`."""
        self.images = images.copy()

    def losses(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Losses:
        """The losses of a batch where its images are now. See `Defense.losses`."""
        self.visited = index
        self.x = Tensor(Tensor(self.images[index]).to(x.device), requires_grad=True)
        return self.objective(net, self.x, labels)

    def after_step(self, net: Layer) -> None:
        """Move the images of the batch along their gradients."""
        samples = len(self.visited) if self.objective.reduction == "mean" else 1
        assert self.x.grad is not None, "the loss's backward pass comes before the step"
        move = self.x.grad.numpy() * (samples * self.rate)  # taken before the parameters moved
        if self.noise:
            move = move + self.noise * self.rng.standard_normal(move.shape).astype(move.dtype)
        self.images[self.visited] += move

    def arrays(self) -> dict[str, np.ndarray]:
        return {"images": self.images}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.images = np.array(arrays["images"])
