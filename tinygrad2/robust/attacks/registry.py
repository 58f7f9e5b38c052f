"""Every attack by its name: what the command line, the tables and the listing know of it.

An attack joins by one row; its options are the keyword parameters of its function, its explanation the first line of
the docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, getdoc, signature
from typing import NamedTuple

from tinygrad2.nn.layer import nearest
from tinygrad2.robust.attacks.base import AttackResult
from tinygrad2.robust.attacks.carlini_wagner import cw_l2
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.attacks.fgsm import fgsm
from tinygrad2.robust.attacks.jsma import jsma
from tinygrad2.robust.attacks.pgd import bim, cw_linf, pgd
from tinygrad2.robust.attacks.probes import random_noise, square
from tinygrad2.robust.attacks.universal import universal


class Attack(NamedTuple):
    """run(net, x, labels, **options), the norm of its result's sizes, and whether it needs all images at once."""

    run: Callable[..., AttackResult]
    norm: str
    whole: bool = False

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (getdoc(self.run) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Parameter]:
        """Its options by name; one without a default, such as epsilon, must be given."""
        return dict(list(signature(self.run).parameters.items())[3:])


ATTACKS = {
    "bim": Attack(bim, "l∞"),
    "cw_l2": Attack(cw_l2, "l2"),
    "cw_linf": Attack(cw_linf, "l∞"),
    "deepfool": Attack(deepfool, "l2"),
    "fgsm": Attack(fgsm, "l∞"),
    "jsma": Attack(jsma, "l0"),
    "pgd": Attack(pgd, "l∞"),
    "random_noise": Attack(random_noise, "l∞"),
    "square": Attack(square, "l∞"),
    "universal": Attack(universal, "l∞", whole=True),
}


def find_attack(name: str) -> Attack:
    """The attack of that name. Raises ValueError that suggests the nearest known name."""
    if name not in ATTACKS:
        raise ValueError(f"unknown attack {name!r}{nearest(name, ATTACKS)}; known: {', '.join(ATTACKS)}")
    return ATTACKS[name]
