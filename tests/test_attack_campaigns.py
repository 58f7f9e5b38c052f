"""A slice of the campaign of attacks on random networks of any scale; `make soak` runs 10,000 for each attack."""

from __future__ import annotations

import inspect

import pytest
from attack_campaigns import ATTACKS, SUITE, campaign

from tinygrad2 import robust


@pytest.mark.filterwarnings("ignore::UserWarning")  # a network that ends in a softmax
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_keeps_its_promises_on_networks_of_any_scale(name: str) -> None:
    assert campaign(name, SUITE)["faults"] == []


def test_every_attack_is_in_the_campaign() -> None:
    functions = {name: f for name in robust.__all__ if inspect.isfunction(f := getattr(robust, name))}
    attacks = {name for name, f in functions.items() if inspect.signature(f).return_annotation == "AttackResult"}
    assert {"fgsm", "auto"} <= attacks
    assert attacks <= {name.partition(",")[0] for name in ATTACKS}
