"""Sign attacks, Carlini & Wagner's, probes and diagnostics: closed forms on affine nets, and what must always hold."""

from __future__ import annotations

import pytest

from tinygrad2 import robust
from tinygrad2.robust.attacks.registry import find_attack


@pytest.mark.parametrize("name", robust.ATTACKS)
def test_every_attack_says_in_one_line_what_it_does(name: str) -> None:
    attack = find_attack(name)
    assert 10 < len(attack.summary) < 110 and attack.norm
    assert not {"net", "x", "labels"} & attack.options.keys()


def test_an_unknown_attack_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown attack 'fgms' \(did you mean 'fgsm'\?\); known: .*deepfool"):
        find_attack("fgms")
