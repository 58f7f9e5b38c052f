"""Adversarial training: adversarial images, with the labels of those they were made from, are part of the batch.

Online (Goodfellow et al. 2015, section 6; "Adv. Train II" of Deep Defense): made from each batch by the network as it
is. Fixed (Moosavi-Dezfooli et al. 2016; "Adv. Train I"): made once by DeepFool on the net that training starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer
from tinygrad2.nn.init import Rng
from tinygrad2.ops import concatenate
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.defenses.defense import Defense, Losses, Objective
from tinygrad2.robust.evaluation import accept, evaluating

Craft = Callable[[Layer, Tensor, np.ndarray], Tensor]  # craft(net, x, labels): adversarial images like x


class AdversarialTraining(Defense):
    """Adversarial images of each batch, crafted by the network as it is, appended or in place of their originals.

    craft: craft(net, x, labels), adversarial images like x; it meets the network in eval mode
    objective: what is minimised on the images; the cross-entropy if None
    share: share of the batch that is attacked, above 0 and at most 1, a random choice
    append: keep the originals as well
    rng: a seed or a generator

    Source: Goodfellow et al. 2015, section 6.
    """

    def __init__(
        self, craft: Craft, objective: Objective | None = None, *, share: float = 1.0, append: bool = True, rng: Rng = 0
    ) -> None:
        super().__init__(objective, rng)
        if not 0 < share <= 1:
            raise ValueError(f"share: expected the attacked share of a batch, above 0 and at most 1, got {share}")
        self.craft = craft
        self.share = share
        self.append = append

    def losses(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Losses:
        """The losses of a batch with its adversarial images. See `Defense.losses`."""
        n = len(labels)
        order = np.arange(n) if self.share == 1 else self.rng.permutation(n)
        attacked = order[: max(1, round(self.share * n))]
        kept = np.arange(n) if self.append else np.setdiff1d(order, attacked)
        perturbed = self.perturbed(net, x[attacked], labels[attacked], index[attacked])
        both = concatenate([x[kept], perturbed]) if kept.size else perturbed
        return self.objective(net, both, labels[np.concatenate([kept, attacked])])

    def perturbed(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Tensor:
        """The adversarial images of x, which are constants. x: (N, ...); labels, index: (N,). Result: (N, ...)."""
        with evaluating(net):
            return self.craft(net, x, labels).detach()


class FixedAdversarialSet(AdversarialTraining):
    """DeepFool images of all training images, made once on the network that training starts from, join the batches.

    max_iter: DeepFool's; the other options are those of `AdversarialTraining`. Source: Moosavi-Dezfooli et al. 2016.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        *,
        share: float = 1.0,
        append: bool = True,
        max_iter: int = 50,
        rng: Rng = 0,
    ) -> None:
        craft = lambda net, x, labels: deepfool(net, x, labels, max_iter=max_iter).adversarial
        super().__init__(craft, objective, share=share, append=append, rng=rng)
        self.images: np.ndarray = np.empty(0)

    def start(self, net: Layer, images: np.ndarray, labels: np.ndarray, progress: Progress | None = None) -> None:
        with evaluating(net):
            crafted = lambda part: self.craft(net, accept(net, images[part]), labels[part]).numpy()
            self.images = in_batches(crafted, len(images), progress=progress)

    def perturbed(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Tensor:
        return Tensor(self.images[index]).to(x.device)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"adversarial": self.images}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.images = arrays["adversarial"]
