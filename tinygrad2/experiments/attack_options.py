"""What attack is meant, with which options: on the command line they are its own keyword parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, NamedTuple

from tinygrad2.experiments.config import nearest
from tinygrad2.robust.attacks.registry import ATTACKS, find_attack

# From how a parameter is annotated to what a command line can hold; others, such as a second network, are left out.
KINDS = {"float": float, "int": int, "str": str, "bool": bool, "tuple[float, float]": tuple, "Box": tuple}
MEANINGS = {
    "box": "clip to the range of the pixels, such as 0 255; without it nothing is clipped",
    "constant": "the first weight of the hinge in the binary search",
    "epsilon": "largest size of the perturbation, in the units of the images",
    "gamma": "instead of --steps: the share of the pixels that may change",
    "kappa": "by how much a wrong class is to lead",
    "keep": "each image's best step, or the last one, as in printed figures",
    "max_iter": "DeepFool's steps, at most",
    "mode": "DeepFool's norms: corrected, or coded as by the Deep Defense authors (l2)",
    "overshoot": "share of DeepFool's step that is added to get over the boundary",
    "p": "of the l_p norm: 1, 2, inf ...",
    "pairs": "change two pixels a step",
    "passes": "over the images, at most",
    "restarts": "walks, each from another point",
    "samples": "of the noise, the best of which counts",
    "saturating": "let p - 1 round to 0 in the gradient, as usual float32 code does",
    "searches": "steps of the binary search for the hinge's weight",
    "share": "of the images to be fooled, after which it stops",
    "softmax": "saliency of the probabilities instead of the logits",
    "step_size": "of each step; within a ball 2.5 epsilon / steps unless given",
    "steps": "of the walk, at most",
    "targets": "the class to be reached, a number; by default any wrong one will do",
    "theta": "what is added to a pixel; negative darkens (default: the whole box)",
}


@dataclass(frozen=True)
class AttackPlan:
    """What is done to every batch. options: keyword arguments of the attack; seed: of its random choices.

    probes: so many images, the first ones, are searched for signs of gradient masking; for l∞ attacks of a size epsilon
    """

    attack: str
    options: Mapping[str, Any]
    seed: int = 0
    batch_size: int = 100
    probes: int = 0

    def __post_init__(self) -> None:
        if self.probes and not ("epsilon" in self.options and self.norm == "l∞"):
            raise ValueError(f"probes have an l∞ size epsilon; {self} has none: leave out --probe")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")

    @property
    def norm(self) -> str:
        """The norm that sizes are measured in."""
        p = self.options.get("p")
        return find_attack(self.attack).norm if p is None else "l∞" if p == float("inf") else f"l{p:g}"

    def __str__(self) -> str:
        options = ", ".join(f"{name} {value}" for name, value in self.options.items() if name != "box")
        return f"{self.attack} ({options})" if options else self.attack


class Option(NamedTuple):
    """One option: its type, and the attacks that take it with their defaults (Parameter.empty: it must be given)."""

    name: str
    kind: type
    takers: dict[str, Any]

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it means, for which attacks, and their defaults."""
        known = [f"{attack}{_default(value)}" for attack, value in self.takers.items()]
        return f"{MEANINGS.get(self.name, '')} [{', '.join(known)}]"


def attack_options() -> dict[str, Option]:
    """Every option of every attack, by name."""
    found: dict[str, Option] = {}
    for attack, known in ATTACKS.items():
        for name, parameter in known.options.items():
            kind = kind_of(parameter)
            if kind is not None and name != "rng":  # every batch gets a generator of its own, made from --seed
                found.setdefault(name, Option(name, kind, {})).takers[attack] = parameter.default
    return found


def kind_of(parameter: Parameter) -> type | None:
    """What a command line takes for the parameter; None where it can take nothing."""
    return KINDS.get(str(parameter.annotation).partition(" | ")[0])


def choose(attack: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, not None, if the attack takes them and has all that it needs. Raises ValueError."""
    find_attack(attack)
    options = {name: option for name, option in attack_options().items() if attack in option.takers}
    chosen = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None}
    taken = ", ".join(option.flag for option in options.values())
    for name in chosen:
        if name not in options:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"the attack {attack!r} takes no {flag}{nearest(name, options)}; it takes {taken}")
    for name, option in options.items():
        if option.takers[attack] is Parameter.empty and name not in chosen:
            raise ValueError(f"the attack {attack!r} needs {option.flag}: {MEANINGS.get(name, name)}")
    return chosen


def _default(value: Any) -> str:
    if value is Parameter.empty:
        return ": needed"
    return "" if value is None or value is False else f" {value}"
