"""Attacks, defenses and robustness metrics, written in terms of layers and primitives alone.

Reading them is reading the papers' formulas.
"""

from tinygrad2.robust.attack import AttackResult
from tinygrad2.robust.deep_defense import DeepDefenseLoss, deep_defense
from tinygrad2.robust.deepfool import deepfool, walk
from tinygrad2.robust.fgsm import fgsm, loss_gradient, sign_direction
from tinygrad2.robust.metrics import FGS, Robustness, accuracy, predict, rho, table_row

__all__ = [
    "FGS",
    "AttackResult",
    "DeepDefenseLoss",
    "Robustness",
    "accuracy",
    "deep_defense",
    "deepfool",
    "fgsm",
    "loss_gradient",
    "predict",
    "rho",
    "sign_direction",
    "table_row",
    "walk",
]
