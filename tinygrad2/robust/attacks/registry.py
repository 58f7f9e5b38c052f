"""Every attack by its name: what the command line, the tables and the listing know of it.

An attack joins by one row; its options are the keyword parameters of its function, its explanation the first line of
the docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, getdoc, signature
from typing import NamedTuple

from tinygrad2.nn.layer import nearest
from tinygrad2.robust.attacks.apgd import apgd
from tinygrad2.robust.attacks.auto import auto
from tinygrad2.robust.attacks.carlini_wagner import cw_l2
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.attacks.fgsm import fgsm
from tinygrad2.robust.attacks.jsma import jsma
from tinygrad2.robust.attacks.pgd import bim, cw_linf, pgd
from tinygrad2.robust.attacks.probes import random_noise, square
from tinygrad2.robust.attacks.result import AttackResult
from tinygrad2.robust.attacks.universal import universal


class Attack(NamedTuple):
    """An attack by its function, run(net, x, labels, **options).

    norm: of the sizes in its result, unless the option p says otherwise
    whole: whether it needs all images at once
    """

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
        return dict(list(signature(self.run, eval_str=True).parameters.items())[3:])


ATTACKS = {
    "apgd": Attack(apgd, "l∞"),
    "auto": Attack(auto, "l∞"),
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

# The keyword parameters of the attacks, in one line each; a parameter that attacks share means the same in all.
MEANINGS = {
    "box": "clip to the range of the pixels, such as 0 255; without it nothing is clipped",
    "constant": "the first weight of the hinge in the binary search",
    "epsilon": "largest size of the perturbation, in the units of the images",
    "gamma": "share of the pixels that may change, instead of --steps",
    "kappa": "lead that a wrong class must reach, in logits",
    "keep": "each image's best step, or the last one, as in printed figures",
    "loss": "what APGD climbs: ce (cross-entropy) or dlr (difference of logits ratio)",
    "max_iter": "DeepFool's steps, at most",
    "mode": "DeepFool's norms: corrected, or coded as by the Deep Defense authors (l2)",
    "overshoot": "share of DeepFool's step that is added to get over the boundary",
    "p": "which l_p norm: 1, 2, inf ...",
    "pairs": "change two pixels a step",
    "passes": "passes over the images, at most",
    "queries": "Square's questions to the network, at most",
    "restarts": "walks, each from another random point",
    "samples": "random samples, the best of which counts",
    "saturating": "let p - 1 round to 0 in the gradient, as usual float32 code does",
    "searches": "steps of the binary search for the hinge's weight",
    "share": "stop when this share of the images is fooled",
    "softmax": "saliency of the probabilities instead of the logits",
    "step_size": "size of a step; within a ball 2.5 epsilon / steps unless given",
    "steps": "steps, at most",
    "targets": "the class to reach: its name or number, next, least-likely, or an .npy file; by default any wrong one",
    "theta": "what is added to a pixel; negative darkens (default: the whole box)",
}


def find_attack(name: str) -> Attack:
    """The attack of that name. Raises ValueError that suggests the nearest known name."""
    if name not in ATTACKS:
        raise ValueError(f"unknown attack {name!r}{nearest(name, ATTACKS)}; known: {', '.join(ATTACKS)}")
    return ATTACKS[name]
