"""Ways of training a net that attacks do not fool as easily; DEFENSES has them by name."""

from tinygrad2.robust.defenses.adversarial import AdversarialTraining, FixedAdversarialSet
from tinygrad2.robust.defenses.deep_defense import DeepDefense, DeepDefenseLoss, deep_defense
from tinygrad2.robust.defenses.defense import Defense, Objective
from tinygrad2.robust.defenses.parseval import Parseval, parseval_step
from tinygrad2.robust.defenses.smooth_gradient import SmoothGradient
from tinygrad2.robust.defenses.total_loss import total_loss

__all__ = [
    "DEFENSES",
    "AdversarialTraining",
    "DeepDefense",
    "DeepDefenseLoss",
    "Defense",
    "FixedAdversarialSet",
    "Objective",
    "Parseval",
    "SmoothGradient",
    "deep_defense",
    "parseval_step",
    "total_loss",
]

DEFENSES: dict[str, type[Defense]] = {
    "none": Defense,
    "deep-defense": DeepDefense,
    "adversarial": AdversarialTraining,
    "adversarial-fixed": FixedAdversarialSet,
    "parseval": Parseval,
    "smooth-gradient": SmoothGradient,
}
