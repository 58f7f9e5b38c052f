"""What attack is meant, with which options: on the command line they are its own keyword parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

from tinygrad2.experiments.catalogues import find_attack
from tinygrad2.experiments.fields import TYPES
from tinygrad2.nn.layer import nearest
from tinygrad2.robust import lp
from tinygrad2.robust.attacks.registry import ATTACKS, MEANINGS

TARGETS = "targets"
WORDS: dict[type, str] = {**TYPES, tuple: "two numbers, lowest and highest"}


@dataclass(frozen=True)
class AttackPlan:
    """What is done to every batch of an attack.

    attack: its name; options: its keyword arguments
    seed: of its random choices; batch_size: images at once
    probes: the first n images are searched for signs of gradient masking; for l∞ attacks of a size epsilon alone
    """

    attack: str
    options: Mapping[str, Any]
    seed: int = 0
    batch_size: int = 100
    probes: int = 0

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("batch_size", 1), ("probes", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.probes and not ("epsilon" in self.options and self.norm == "l∞"):
            raise ValueError(f"probes have an l∞ size epsilon; {self} has none: leave out --probe")

    @property
    def norm(self) -> str:
        """The norm that sizes are measured in."""
        p = self.options.get("p")
        return find_attack(self.attack).norm if p is None else lp.name(p)

    @property
    def targets(self) -> str | None:
        """The name of the classes to reach, as `find_targets` takes it; None where any wrong class will do."""
        name = self.options.get(TARGETS)
        return None if name is None else str(name)

    def __str__(self) -> str:
        options = ", ".join(f"{name} {value}" for name, value in self.options.items() if name != "box")
        return f"{self.attack} ({options})" if options else self.attack


class Option(NamedTuple):
    """One option: its type, and the attacks that take it with their defaults (Parameter.empty: it must be given)."""

    name: str
    kind: type[Any]
    takers: dict[str, Any]

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it means, for which attacks, and their defaults."""
        known = [f"{attack}{_default(value)}" for attack, value in self.takers.items()]
        return f"{MEANINGS[self.name]} [{', '.join(known)}]"


def attack_options() -> dict[str, Option]:
    """Every option of every attack that a command line can hold, by name."""
    found: dict[str, Option] = {}
    for attack, known in ATTACKS.items():
        for name, parameter in known.options.items():
            kind = kind_of(parameter)
            if kind is not None and name != "rng":  # every batch gets a generator of its own, made from --seed
                found.setdefault(name, Option(name, kind, {})).takers[attack] = parameter.default
    return found


def kind_of(parameter: Parameter) -> type[Any] | None:
    """What a command line takes for the parameter: float, int, str, bool or tuple; None where it can take nothing."""
    if parameter.name == TARGETS:
        return str  # see `find_targets`
    kind = parameter.annotation
    if isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    kind = get_origin(kind) or kind
    return kind if kind in (float, int, str, bool, tuple) else None


def choose(attack: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options that are not None. Raises ValueError unless the attack takes them and has all that it needs."""
    chosen = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None}
    own = find_attack(attack).options
    if attack not in ATTACKS:
        return _checked(attack, own, chosen)
    options = {name: option for name, option in attack_options().items() if attack in option.takers}
    taken = ", ".join(option.flag for option in options.values())
    for name in chosen:
        if name not in options:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"the attack {attack!r} takes no {flag}{nearest(name, options)}; it takes {taken}")
    chosen = {name: _fitting(options[name], value) for name, value in chosen.items()}
    for name, option in options.items():
        if option.takers[attack] is Parameter.empty and name not in chosen:
            raise ValueError(f"the attack {attack!r} needs {option.flag}: {MEANINGS[name]}")
    return chosen


def _fitting(option: Option, value: Any) -> Any:
    """The value as the attack takes it. Raises TypeError for one of another type."""
    if option.kind is float and type(value) is int:
        return float(value)
    if option.name == TARGETS and type(value) is int:
        return str(value)
    pair = option.kind is tuple and type(value) is tuple and [type(v) in (int, float) for v in value] == [True, True]
    if not (pair or type(value) is option.kind is not tuple):
        raise TypeError(f"{option.name}: expected {WORDS[option.kind]}, got {value!r}")
    return value


def _checked(attack: str, own: Mapping[str, Parameter], chosen: dict[str, Any]) -> dict[str, Any]:
    """The options of an attack that the user brought."""
    taken = ", ".join(own) or "no options"
    every = any(p.kind is p.VAR_KEYWORD for p in own.values())
    for name in chosen:
        if name not in own and not every:
            raise ValueError(f"the attack {attack!r} takes no {name}{nearest(name, own)}; it takes {taken}")
    for name, parameter in own.items():
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if needed and name not in chosen and name != "rng":
            raise ValueError(f"the attack {attack!r} needs {name}: --option {name}=...")
    return chosen


def _default(value: Any) -> str:
    if value is Parameter.empty:
        return ": needed"
    return "" if value is None or value is False else f" {value}"
