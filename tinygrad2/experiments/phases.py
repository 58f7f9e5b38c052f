"""The phases of a run: the reference network, then the defense, each a `Defense` object made from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad2.experiments.config import label
from tinygrad2.experiments.settings import Config, PenaltySettings, PhaseSettings
from tinygrad2.robust import PENALTIES
from tinygrad2.robust.attacks.registry import ATTACKS
from tinygrad2.robust.defenses import (
    AdversarialTraining,
    DeepDefense,
    Defense,
    FixedAdversarialSet,
    Objective,
    Parseval,
    SmoothGradient,
)
from tinygrad2.robust.defenses.adversarial import Craft

Box = tuple[float, float] | None
PENALTY_OPTIONS = ("on", "mode", "reduction", "squared", "projections", "iterations")


@dataclass(frozen=True)
class Phase:
    """One stretch of training: its name, its section of the configuration, its settings, and what it trains with."""

    name: str
    section: str
    settings: PhaseSettings
    defense: Defense


def phases(config: Config, box: Box) -> list[Phase]:
    """The phases, in order. box: the range of the pixels, None where they are centred."""
    trained = config.reference.weights is None
    reference = config.reference if trained else replace(config.reference, epochs=0)
    rng = np.random.default_rng(config.run.seed)
    if config.defense.layers and config.penalty.name == "none" and config.defense.name != "deep-defense":
        raise ValueError("defense.layers: there is no penalty whose gradient could be kept to them; leave it out")
    common = {"objective": objective(config.defense, config.penalty, rng, config.defense.layers), "rng": rng}
    found = [
        Phase("reference", "reference", reference, Defense(objective(reference, PenaltySettings(), rng))),
        Phase(label(config), "defense", config.defense, BUILDERS[config.defense.name](config, common, box)),
    ]
    if config.data.augment != "none" and config.defense.name == "smooth-gradient" and config.defense.epochs:
        raise ValueError("data.augment: smooth-gradient trains on images of its own, which move; use augment=none")
    for phase in found:
        for setting in ("settle", "patience"):
            if getattr(phase.settings, setting) is not None and not config.data.n_validation:
                needs = "needs a validation set: data.n_validation=5000, for instance"
                raise ValueError(f"{phase.section}.{setting} {needs}")
    return found


def objective(
    fit: PhaseSettings, penalty: PenaltySettings, rng: np.random.Generator, layers: tuple[str, ...] | None = None
) -> Objective:
    """The cross-entropy with the phase's labels, and the penalty. rng: for penalties that draw random numbers."""
    common: dict[str, Any] = {"label_smoothing": fit.label_smoothing, "smoothing_over": fit.smoothing_over}
    if penalty.name == "none":
        return Objective(**common, reduction=penalty.fit)
    function = PENALTIES[penalty.name]
    options = chosen(penalty, PENALTY_OPTIONS, function.options, "penalty", penalty.name)
    options |= {"rng": rng} if "rng" in function.options else {}
    return Objective(partial(function, **options), penalty.lam, penalty.fit, layers=layers, **common)


def chosen(section: Any, names: Iterable[str], accepted: Container[str], key: str, name: str) -> dict[str, Any]:
    """Those of the section's settings that are set. Raises ValueError for one that is not accepted."""
    given = {option: value for option in names if (value := getattr(section, option)) is not None}
    for option in given:
        if option not in accepted:
            raise ValueError(f"{key}.{option}: {name!r} has no such option; leave it out")
    return given


def _deep_defense(config: Config, common: dict[str, Any], box: Box) -> Defense:
    if config.penalty.name != "none":
        raise ValueError("penalty.name: deep-defense has an objective of its own; leave the penalty out")
    d = config.defense
    return DeepDefense(d.layers, lam=d.lam, c=d.c, d=d.d, mode=d.mode, max_iter=d.max_iter)


def _adversarial(config: Config, common: dict[str, Any], box: Box) -> Defense:
    a = config.adversarial
    attack = ATTACKS[config.adversarial.attack]
    options = chosen(a, ("steps", "step_size", "max_iter"), attack.options, "adversarial", a.attack)
    known = {"epsilon": a.epsilon, "box": box, "rng": common["rng"]}
    options |= {name: value for name, value in known.items() if name in attack.options}
    craft: Craft = lambda net, x, labels: attack.run(net, x, labels, **options).adversarial
    return AdversarialTraining(craft, share=a.share, append=a.append, **common)


def _adversarial_fixed(config: Config, common: dict[str, Any], box: Box) -> Defense:
    a = config.adversarial
    options: dict[str, Any] = {} if a.max_iter is None else {"max_iter": a.max_iter}
    return FixedAdversarialSet(share=a.share, append=a.append, **options, **common)


BUILDERS: dict[str, Callable[[Config, dict[str, Any], Box], Defense]] = {
    "none": lambda config, common, box: Defense(**common),
    "deep-defense": _deep_defense,
    "adversarial": _adversarial,
    "adversarial-fixed": _adversarial_fixed,
    "parseval": lambda config, common, box: Parseval(**asdict(config.parseval), **common),
    "smooth-gradient": lambda config, common, box: SmoothGradient(**asdict(config.smooth), **common),
}
