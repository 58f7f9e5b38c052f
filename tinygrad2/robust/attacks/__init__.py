"""Attacks of one calling form, `attack(net, x, labels, ...) -> AttackResult`."""

from tinygrad2.robust.attacks.apgd import apgd
from tinygrad2.robust.attacks.auto import auto
from tinygrad2.robust.attacks.carlini_wagner import cw_l2
from tinygrad2.robust.attacks.deepfool import deepfool, walk
from tinygrad2.robust.attacks.diagnostic import diagnose
from tinygrad2.robust.attacks.fgsm import fgsm, loss_gradient, sign_direction
from tinygrad2.robust.attacks.jsma import jsma
from tinygrad2.robust.attacks.pgd import bim, cw_linf, pgd
from tinygrad2.robust.attacks.probes import random_noise, square
from tinygrad2.robust.attacks.registry import ATTACKS, Attack
from tinygrad2.robust.attacks.transfer import TransferMatrix, transfer_matrix
from tinygrad2.robust.attacks.universal import UniversalResult, universal

__all__ = [
    "ATTACKS",
    "Attack",
    "TransferMatrix",
    "UniversalResult",
    "apgd",
    "auto",
    "bim",
    "cw_l2",
    "cw_linf",
    "deepfool",
    "diagnose",
    "fgsm",
    "jsma",
    "loss_gradient",
    "pgd",
    "random_noise",
    "sign_direction",
    "square",
    "transfer_matrix",
    "universal",
    "walk",
]
