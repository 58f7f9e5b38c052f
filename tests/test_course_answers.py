"""The wrong answers of course_answers.py are rejected with a true name, or with the property that they lack."""

from __future__ import annotations

import pytest
from course_answers import ANSWERS, EXERCISES, RIGHT

import tinygrad2 as tg


@pytest.mark.parametrize("name", ANSWERS)
def test_a_wrong_answer_in_a_function_of_the_lessons_is_named(name: str) -> None:
    answer = ANSWERS[name]
    report = answer.check()
    assert not report.ok
    if answer.names:
        assert set(report.mistakes) <= answer.names and report.mistakes, str(report)
    else:
        assert "is not linear in g" in str(report)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_wrong_answer_to_an_exercise_is_named(name: str) -> None:
    exercise, rule, mistake = EXERCISES[name]
    report = tg.exercise(exercise).check(rule)
    assert not report.ok
    assert report.mistakes == [mistake], str(report)


@pytest.mark.parametrize("name", RIGHT)
def test_the_same_loops_without_the_mistake_are_right(name: str) -> None:
    exercise, rule = RIGHT[name]
    assert tg.exercise(exercise).check(rule).ok
