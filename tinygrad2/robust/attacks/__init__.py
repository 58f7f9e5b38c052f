"""Attacks of one calling form, `attack(net, x, labels, ...) -> AttackResult`."""

from tinygrad2.robust.attacks.deepfool import deepfool, walk
from tinygrad2.robust.attacks.fgsm import fgsm, loss_gradient, sign_direction
from tinygrad2.robust.attacks.jsma import jsma
from tinygrad2.robust.attacks.registry import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack", "deepfool", "fgsm", "jsma", "loss_gradient", "sign_direction", "walk"]
