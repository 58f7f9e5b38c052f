"""A configuration, from the defaults of its sections, a recipe, TOML and --set; and back to TOML.

A resolved configuration has every value in it, so that the copy in a run's folder says exactly what was run.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from tinygrad2.experiments.brought import digest, is_brought, short
from tinygrad2.experiments.catalogues import ATTACKS, DEFENSES, MODELS, PENALTIES, data_digests, find_weights
from tinygrad2.experiments.fields import Field, fields_of, toml
from tinygrad2.experiments.settings import Config, PhaseSettings
from tinygrad2.nn import OPTIMIZERS
from tinygrad2.nn.layer import nearest


def sections(config: Config) -> Iterator[tuple[str, Any]]:
    """The sections with their names, in order."""
    return ((f.name, getattr(config, f.name)) for f in dataclasses.fields(config))


FIELDS: dict[str, Field] = {field.key: field for name, s in sections(Config()) for field in fields_of(name, s)}


def recipes() -> list[str]:
    """The names of the experiments that come with the package."""
    files = resources.files(__package__).joinpath("recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files)


def recipe_text(name: str) -> str:
    """The TOML of a recipe. Raises ValueError for an unknown one, with the nearest."""
    if name not in recipes():
        raise ValueError(f"unknown recipe {name!r}{nearest(name, recipes())}; known: {', '.join(recipes())}")
    return resources.files(__package__).joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")


def recipe_summary(recipe: str) -> str:
    """What a recipe is, in one line: its first comment."""
    return recipe_text(recipe).removeprefix("# ").partition("\n")[0]


def resolve(recipe: str | None = None, file: str | os.PathLike[str] | None = None, sets: Iterable[str] = ()) -> Config:
    """The defaults, overridden by a recipe, then by a TOML file, then by assignments such as "defense.lam=10".

    Raises ValueError or TypeError that names the setting, and FileNotFoundError.

    >>> from tinygrad2 import experiments
    >>> experiments.resolve("demo", sets=["defense.c=3"]).defense.c
    3.0
    """
    values: dict[str, Any] = {}
    if recipe is not None:
        values |= flatten(tomllib.loads(recipe_text(recipe)))
    if file is not None:
        values |= _read(Path(file))
    for assignment in sets:
        values |= _parse_set(assignment)
    return from_values(values)


def from_values(values: Mapping[str, Any]) -> Config:
    """The configuration with these values under dotted keys, each checked for name, type, choice and range."""
    checked = {key: _field(key).checked(value) for key, value in values.items()}
    made = {}
    for name, default in sections(Config()):
        own = {k.partition(".")[2]: v for k, v in checked.items() if k.partition(".")[0] == name}
        section = dataclasses.replace(default, **own)
        if isinstance(section, PhaseSettings):
            section = _with_fitting_momentum(name, section, "momentum" in own)
        made[name] = section
    return Config(**made)


def defended(name: str | None, penalty: str | None = None) -> list[str]:
    """The assignments that choose a defense, a penalty, or both joined by +: "adversarial+jacobian_l1".

    name: may be `file.py:function`, a defense of the user's own; penalty: a penalty, chosen by itself
    Raises ValueError with the nearest known name.
    """
    known = {**dict.fromkeys(DEFENSES, "defense.name"), **dict.fromkeys(PENALTIES, "penalty.name")}
    chosen = {"defense.name": "none", "penalty.name": "none"}
    parts = [] if name is None else [name] if is_brought(name) else name.split("+")
    if penalty is not None:
        if penalty != "none" and penalty not in PENALTIES:
            raise ValueError(f"unknown penalty {penalty!r}{nearest(penalty, PENALTIES)}; known: {', '.join(PENALTIES)}")
        chosen["penalty.name"] = penalty
    for part in parts:
        if is_brought(part):
            chosen["defense.name"] = part
            continue
        if part not in known:
            raise ValueError(
                f"unknown defense {part!r}{nearest(part, known)}; defenses: {', '.join(DEFENSES)}; "
                f"penalties, alone or after a defense and +: {', '.join(PENALTIES)}"
            )
        if penalty is not None and known[part] == "penalty.name":
            raise ValueError(f"two penalties, {part!r} and {penalty!r}; leave one out")
        chosen[known[part]] = part
    return [f"{key}={json.dumps(value)}" for key, value in chosen.items()]


def label(config: Config) -> str:
    """The defense in one word, as `defended` takes it; what is in a file of the user's own, without the file.

    >>> from tinygrad2 import experiments
    >>> experiments.label(experiments.resolve("demo"))
    'deep-defense'
    """
    d = short(config.defense.name)
    p = short(config.penalty.name)
    return d if p == "none" else p if d == "none" else f"{d}+{p}"


def brought(config: Config) -> dict[str, str]:
    """The hashes of all files that the user brought to this experiment, by their paths."""
    found = data_digests(config.data.name)
    named = [(MODELS, config.model.name), (DEFENSES, config.defense.name), (PENALTIES, config.penalty.name)]
    named += [(ATTACKS, name) for name in (config.adversarial.attack, *config.eval.attacks)]
    for catalogue, name in named:
        found |= {} if name == "none" else catalogue.digests(name)
    if (weights := config.model.weights) is not None:
        found[weights] = digest(find_weights(weights).read_bytes())
    return found


def to_values(config: Config) -> dict[str, Any]:
    """Every value that is set, under its dotted key."""
    return flatten({name: dataclasses.asdict(section) for name, section in sections(config)})


def to_toml(config: Config) -> str:
    """The configuration as TOML; what is not set (None) is left out."""
    lines = []
    for name, section in sections(config):
        lines += ["", f"[{name}]"]
        lines += [f"{k} = {toml(v)}" for k, v in dataclasses.asdict(section).items() if v is not None]
    return "\n".join(lines[1:]) + "\n"


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first key whose values differ, in words; empty if there is none."""
    key = next((key for key in {**there, **here} if there.get(key) != here.get(key)), None)
    return "" if key is None else f"{key} is {there.get(key)} there and {here.get(key)} here"


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one with dotted keys; None means not set."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is not None:
            flat[prefix + key] = value
    return flat


def _nearest_key(key: str) -> str:
    """A hint for a dotted key: a like one, or the same name in another section, or the section's settings."""
    section, _, name = key.rpartition(".")
    known = sorted(FIELDS)
    same = [k for k in known if k.rpartition(".")[2] == name]
    meant = get_close_matches(section, {k.partition(".")[0] for k in known}, 1)
    close = [k for k in same if k.partition(".")[0] in meant] or same or get_close_matches(key, known, 1)
    own = [k.partition(".")[2] for k in known if k.partition(".")[0] == section]
    names = ", ".join(own or [name for name, _ in sections(Config())])
    hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    return f"{hint}; {f'[{section}] has' if own else 'the sections are'} {names}"


def _field(key: str) -> Field:
    """The setting of that name. Raises ValueError with the nearest."""
    if key not in FIELDS:
        raise ValueError(f"unknown setting {key!r}{_nearest_key(key)}")
    return FIELDS[key]


def _read(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, each checked; an error names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"no such configuration file: {path} (for a recipe: --recipe {' | '.join(recipes())})")
    try:
        values = flatten(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    try:
        return {key: _field(key).checked(value) for key, value in values.items()}
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from None


def parse_options(assignments: Iterable[str]) -> dict[str, Any]:
    """The options of an attack of the user's own, from assignments such as "passes=3"."""
    expected = "--option expects name=value, such as --option passes=3"
    return {key: value for text in assignments for key, value in _parse_set(text, expected).items()}


def _parse_set(
    assignment: str, expected: str = "--set expects section.name=value, such as --set defense.lam=10"
) -> dict[str, Any]:
    """{"a.b": 1} from "a.b=1"; the value is TOML, and a bare word is a string."""
    key, equals, text = assignment.partition("=")
    key = key.strip()
    text = text.strip()
    if not equals or not key or not text:
        raise ValueError(f"{expected}; got {assignment!r}")
    try:
        return {key: tomllib.loads(f"value = {text}")["value"]}
    except tomllib.TOMLDecodeError:
        return {key: text}


def _with_fitting_momentum(name: str, section: PhaseSettings, chosen: bool) -> PhaseSettings:
    """The section without the default momentum, where its optimizer has none. Raises ValueError for a chosen one."""
    if section.momentum is None or "momentum" in inspect.signature(OPTIMIZERS[section.optimizer]).parameters:
        return section
    if chosen:
        raise ValueError(f"{name}.momentum: {section.optimizer!r} has no momentum; leave it out")
    return dataclasses.replace(section, momentum=None)
