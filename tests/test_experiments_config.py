"""Configurations: what is written can be read, what is unknown is refused by name, and the recipes are the paper's."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad2.experiments import config as c

finite = st.floats(0, 1e6, allow_nan=False)
VALUES = {
    "run.seed": st.integers(0, 2**40),
    "run.batch_size": st.integers(1, 10**6),
    "data.n_train": st.integers(1, 10**6),
    "model.hidden": st.lists(st.integers(1, 9999), max_size=4).map(tuple),
    "model.input_scale": st.floats(1e-6, 1e6),
    "reference.weights": st.text(st.characters(blacklist_categories=("Cs",))),
    "reference.lr": finite,
    "reference.drops": st.lists(finite, max_size=4).map(tuple),
    "defense.momentum": st.floats(0, 0.999),
    "defense.mode": st.sampled_from(["coded", "corrected"]),
    "eval.saturating": st.booleans(),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_written_as_toml_is_read_back_exactly(values):
    config = c.from_values(values)
    assert c.from_values(c.flatten(tomllib.loads(c.to_toml(config)))) == config


@pytest.mark.parametrize("name", c.recipes())
def test_every_recipe_resolves_and_survives_being_written(name, tmp_path):
    config = c.resolve(name)
    (tmp_path / "copy.toml").write_text(c.to_toml(config), encoding="utf-8")
    assert c.resolve(file=tmp_path / "copy.toml") == config


@pytest.mark.parametrize("name", ["deep-defense-mlp", "deep-defense-lenet"])
def test_the_recipes_are_those_of_section_4_1(name):
    d = c.resolve(name).defense
    assert (d.lam, d.c, d.d, d.max_iter, d.mode) == (15, 25, 5, 5, "coded")
    assert (d.optimizer, d.lr, d.momentum, d.weight_decay) == ("sgd", 5e-4, 0.9, 5e-4)
    assert (d.epochs, d.drops, d.factor) == (5, (0.8,), 0.5)
    assert c.resolve(name).run.batch_size == 100


def test_a_file_overrides_a_recipe_and_an_assignment_overrides_both(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text("[defense]\nlam = 1\nc = 2\n", encoding="utf-8")
    config = c.resolve("demo", file, ["defense.c=3", "data.name=digits", "model.hidden=[7, 5]", "eval.saturating=true"])
    assert (config.defense.lam, config.defense.c) == (1.0, 3.0)
    assert config.model.hidden == (7, 5)
    assert config.eval.saturating is True
    assert config.reference == c.resolve("demo").reference


WRONG = [
    ("defense.lamb=3", "unknown setting 'defense.lamb' (did you mean 'defense.lam'?)"),
    ("defense.batch_size=3", "did you mean 'run.batch_size'?"),
    ("defence.lam=3", "did you mean 'defense.lam'?"),
    ("run.batch_size=1.5", "run.batch_size: expected an integer, got 1.5"),
    ("run.batch_size=0", "run.batch_size: expected an integer of at least 1, got 0"),
    ("run.seed=true", "run.seed: expected an integer, got True"),
    ("defense.lr=nan", "defense.lr: expected a number of at least 0, got nan"),
    ("defense.lr=inf", "defense.lr: expected a number of at least 0, got inf"),
    ("defense.lr=fast", "defense.lr: expected a number, got 'fast'"),
    ("model.hidden=5", "model.hidden: expected a list, each entry an integer, got 5"),
    ("model.hidden=[5, 0]", "model.hidden: expected an integer of at least 1, got 0"),
    ("model.name=lennet", "model.name: unknown value 'lennet' (did you mean 'lenet'?)"),
    ("data.name=digts", "data.name: unknown value 'digts' (did you mean 'digits'?)"),
    ("defense.mode=code", "defense.mode: unknown value 'code' (did you mean 'coded'?)"),
    ("reference.optimizer=adams", "(did you mean 'adam'?)"),
    ("run.device=cudda", "run.device: unknown value 'cudda' (did you mean 'cuda'?); known: cpu, cuda"),
    ("seed", "--set expects section.name=value, such as --set defense.lam=10; got 'seed'"),
    ("seed=", "--set expects section.name=value"),
]


@pytest.mark.parametrize(("assignment", "message"), WRONG)
def test_a_wrong_setting_is_refused_by_name(assignment, message):
    with pytest.raises((ValueError, TypeError)) as error:
        c.resolve(sets=[assignment])
    assert message in str(error.value)


def test_difference_names_the_first_setting_that_differs():
    a, b = c.resolve("demo"), c.resolve("demo", sets=["defense.c=3"])
    assert c.difference(c.to_values(a), c.to_values(a)) == ""
    assert c.difference(c.to_values(a), c.to_values(b)) == "defense.c is 10.0 there and 3.0 here"
