"""Schedules are functions of what came before: the papers' own numbers, and statements that hold for any scores."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad2.nn import schedules

SCORES = st.lists(st.floats(0, 1), max_size=40)


def test_the_smooth_gradient_methods_rates() -> None:
    rates = [1e-3 * schedules.step(epoch, (10, 20), 0.1) for epoch in range(50)]
    assert rates == pytest.approx([1e-3] * 10 + [1e-4] * 10 + [1e-5] * 30)


def test_deep_defense_halves_its_rate_for_the_last_fifth() -> None:
    assert [schedules.step(epoch, [0.8 * 5], 0.5) for epoch in range(5)] == [1, 1, 1, 1, 0.5]


@given(st.lists(st.floats(0, 100), max_size=5), st.floats(0.01, 1))
def test_a_step_schedule_multiplies_once_at_each_milestone(milestones: list[float], factor: float) -> None:
    before, after = schedules.step(-1, milestones, factor), schedules.step(101, milestones, factor)
    assert before == 1 and after == pytest.approx(factor ** len(milestones))
    for m in milestones:
        here, just_before = (schedules.step(e, milestones, factor) for e in (m, math.nextafter(m, -1)))
        assert here == pytest.approx(just_before * factor ** milestones.count(m))


@given(SCORES)
def test_rising_scores_are_never_on_a_plateau(scores: list[float]) -> None:
    rising = [i + s / 2 for i, s in enumerate(scores)]
    assert schedules.plateau(rising, patience=1) == 1


@given(st.floats(0, 1), st.integers(0, 30), st.integers(1, 7))
def test_a_constant_score_drops_the_rate_every_patience_epochs(score: float, epochs: int, patience: int) -> None:
    """The first epoch sets the best; each `patience` epochs after it are one plateau."""
    got = schedules.plateau([score] * epochs, 0.5, patience)
    assert got == 0.5 ** (max(0, epochs - 1) // patience)


@given(SCORES, st.integers(1, 5))
def test_a_plateaus_rate_never_rises_again(scores: list[float], patience: int) -> None:
    rates = [schedules.plateau(scores[:n], 0.5, patience) for n in range(len(scores) + 1)]
    assert all(b in (a, 0.5 * a) for a, b in pairwise(rates))


def test_a_gain_within_the_tolerance_does_not_end_a_plateau() -> None:
    slow = [0.9 + 0.00009 * (i > 0) for i in range(4)]
    assert schedules.plateau(slow, 0.1, patience=3) == 0.1
    assert schedules.plateau([*slow[:3], 0.9002], 0.1, patience=3) == 1


@given(SCORES, st.integers(1, 10))
def test_nothing_is_settled_within_the_first_epochs(scores: list[float], after: int) -> None:
    assert not schedules.settled(scores[:after], after, tolerance=math.inf)


@given(SCORES.filter(lambda s: len(s) > 10), st.floats(0, 1))
def test_settled_means_that_the_last_epoch_moved_less_than_the_tolerance(scores: list[float], tolerance: float) -> None:
    assert schedules.settled(scores, 10, tolerance) == (abs(scores[-1] - scores[-2]) < tolerance)


def test_a_falling_accuracy_is_not_settled() -> None:
    assert not schedules.settled([0.9] * 10 + [0.8])
    assert schedules.settled([0.9] * 10 + [0.90009])


def test_wrong_settings_and_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="patience: expected a number of epochs, at least 1; got 0"):
        schedules.plateau([0.5], patience=0)
    with pytest.raises(ValueError, match="after: expected a number of epochs, at least 1; got 0"):
        schedules.settled([0.5], after=0)
    with pytest.raises(ValueError, match="tolerance: expected 0 or more, got -1"):
        schedules.settled([0.5], tolerance=-1)
    with pytest.raises(ValueError, match=r"expected one accuracy for each epoch, got \[0.5, nan\]"):
        schedules.plateau([0.5, math.nan])
