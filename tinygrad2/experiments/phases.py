"""The phases of a run: the reference network, then the defense, each a `Defense` object made from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad2.experiments.catalogues import build_defense, find_attack, find_penalty
from tinygrad2.experiments.config import label
from tinygrad2.experiments.settings import AdversarialSettings, Config, PenaltySettings, PhaseSettings
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
from tinygrad2.robust.types import Box


@dataclass(frozen=True)
class Phase:
    """One stretch of training: its name, its section of the configuration, its settings, and what it trains with."""

    name: str
    section: str
    settings: PhaseSettings
    defense: Defense


def phases(config: Config, box: Box | None) -> list[Phase]:
    """The phases, in order. box: the range of the pixels, None where they are centred."""
    trained = config.reference.weights is None
    reference = config.reference if trained else replace(config.reference, epochs=0)
    rng = np.random.default_rng(config.run.seed)
    if config.defense.layers and config.penalty.name == "none" and config.defense.name != "deep-defense":
        raise ValueError("defense.layers: there is no penalty whose gradient could be kept to them; leave it out")
    build = BUILDERS.get(config.defense.name, _brought)
    defended = objective(config.defense, config.penalty, rng, config.defense.layers)
    found = [
        Phase("reference", "reference", reference, Defense(objective(reference, PenaltySettings(), rng))),
        Phase(label(config), "defense", config.defense, build(config, defended, rng, box)),
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
    fitted = Objective(
        reduction=penalty.fit, label_smoothing=fit.label_smoothing, smoothing_over=fit.smoothing_over, layers=layers
    )
    if penalty.name == "none":
        return fitted
    function = find_penalty(penalty.name)
    options = chosen(penalty, function.options, "penalty", penalty.name)
    if "rng" in function.options:
        options["rng"] = rng
    return replace(fitted, penalty=partial(function, **options), lam=penalty.lam)


def chosen(
    section: PenaltySettings | AdversarialSettings, accepted: Container[str], key: str, name: str
) -> dict[str, Any]:
    """Those settings of the section that have no default, where they are set.

    Raises ValueError for one that is not accepted.
    """
    optional = [field.name for field in fields(section) if field.default is None]
    given = {option: value for option in optional if (value := getattr(section, option)) is not None}
    for option in given:
        if option not in accepted:
            raise ValueError(f"{key}.{option}: {name!r} has no such option; leave it out")
    return given


def _deep_defense(config: Config, objective: Objective, rng: np.random.Generator, box: Box | None) -> Defense:
    if config.penalty.name != "none":
        raise ValueError("penalty.name: deep-defense has an objective of its own; leave the penalty out")
    d = config.defense
    return DeepDefense(d.layers, lam=d.lam, c=d.c, d=d.d, mode=d.mode, max_iter=d.max_iter)


def _adversarial(config: Config, objective: Objective, rng: np.random.Generator, box: Box | None) -> Defense:
    a = config.adversarial
    attack = find_attack(a.attack)
    options = chosen(a, attack.options, "adversarial", a.attack)
    known = {"epsilon": a.epsilon, "box": box, "rng": rng}
    options |= {name: value for name, value in known.items() if name in attack.options}
    craft: Craft = lambda net, x, labels: attack.run(net, x, labels, **options).adversarial
    return AdversarialTraining(craft, objective, share=a.share, append=a.append, rng=rng)


def _adversarial_fixed(config: Config, objective: Objective, rng: np.random.Generator, box: Box | None) -> Defense:
    a = config.adversarial
    options: dict[str, Any] = {} if a.max_iter is None else {"max_iter": a.max_iter}
    return FixedAdversarialSet(objective, share=a.share, append=a.append, rng=rng, **options)


def _brought(config: Config, objective: Objective, rng: np.random.Generator, box: Box | None) -> Defense:
    return build_defense(config.defense.name, {"objective": objective, "rng": rng, "box": box})


BUILDERS: dict[str, Callable[[Config, Objective, np.random.Generator, Box | None], Defense]] = {
    "none": lambda config, objective, rng, box: Defense(objective, rng),
    "deep-defense": _deep_defense,
    "adversarial": _adversarial,
    "adversarial-fixed": _adversarial_fixed,
    "parseval": lambda config, objective, rng, box: Parseval(objective, rng=rng, **asdict(config.parseval)),
    "smooth-gradient": lambda config, objective, rng, box: SmoothGradient(objective, rng=rng, **asdict(config.smooth)),
}
