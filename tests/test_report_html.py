"""The page of a report in notebooks: all of it is there, escaped, without anything from outside, readable as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tinygrad2 import nn
from tinygrad2.verify import check_vjp, exercise, gradcheck, page, verify_network

VOID = {"br", "hr", "img", "input", "meta", "link"}


class Page(HTMLParser):
    """The elements of a page; it fails where they are not nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(text)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def flipped():
    ex = exercise("conv2d.dw")
    return ex.check(lambda *a, **p: ex.solution(*a, **p)[:, :, ::-1, ::-1])


def test_the_page_says_all_that_the_text_says(flipped) -> None:
    shown = Page(flipped._repr_html_()).text
    for part in ["WRONG", "conv2d.dw", *flipped.passed, flipped.failed, flipped.finding, flipped.case]:
        assert part in shown
    for line in flipped.diagnosis.split("\n"):
        assert line.strip() in shown
    assert flipped.reproduce in shown
    assert flipped.hint in shown
    assert flipped.counterexample.why in shown


def test_the_three_grids_stand_side_by_side_and_have_a_text_alternative(flipped) -> None:
    parsed = Page(flipped._repr_html_())
    labels = [a["aria-label"] for tag, a in parsed.tags if tag == "figure"]
    starts = [label.partition(",")[0] for label in labels]
    assert starts == ["x", "w", "b", "g", "your dw", "expected dw", "yours - expected"]
    (wrong,) = flipped.counterexample.wrong
    assert labels[4].endswith(page.compact(wrong.yours))
    assert labels[5].endswith(page.compact(wrong.expected))


def test_wrong_entries_are_marked_without_colour(flipped) -> None:
    parsed = Page(flipped._repr_html_())
    marked = [a for tag, a in parsed.tags if tag == "td" and "off" in (a.get("class") or "").split()]
    (wrong,) = flipped.counterexample.wrong
    assert len(marked) == 2 * np.count_nonzero(wrong.difference)  # in yours, and in the difference


@pytest.mark.parametrize("kind", ["right", "wrong", "breaks", "uncertified", "shape", "gradcheck", "network"])
def test_no_page_needs_anything_from_outside(kind: str) -> None:
    ex = exercise("relu")
    made = {
        "right": lambda: ex.check(ex.solution),
        "wrong": lambda: ex.check(lambda g, x: g),
        "breaks": lambda: ex.check(lambda g, x: g @ np.ones((99, 99))),
        "uncertified": lambda: uncertified(),
        "shape": lambda: ex.check(lambda g, x: g[0]),
        "gradcheck": lambda: gradcheck(lambda x: x**3, np.ones(2), vjp=lambda g, x: g),
        "network": lambda: verify_network(nn.Tanh(), np.ones((1, 3))),
    }[kind]()
    text = made._repr_html_()
    parsed = Page(text)
    assert {tag for tag, _ in parsed.tags} <= {
        *("article", "style", "header", "span", "ol", "li", "p", "h4", "div", "figure", "figcaption", "table"),
        *("caption", "tbody", "tr", "td", "code", "b", "pre"),
    }
    assert not re.search(r"https?:|url\(|@import|src=|href=", text)
    assert "prefers-color-scheme" in text
    assert made.verdict.upper() in parsed.text


def uncertified():
    report = exercise("relu").check(lambda g, x: g)
    report.reason = "the error of the measurement is not small beside dx[0]"
    return report


def test_an_uncertified_report_has_a_word_of_its_own() -> None:
    report = uncertified()
    assert not report
    assert report.verdict == "uncertified"
    assert str(report).startswith("relu   UNCERTIFIED")
    assert report.reason in str(report)
    assert report.as_dict()["verdict"] == "uncertified"


def test_names_and_messages_cannot_be_markup() -> None:
    evil = '<img src=x onerror="alert(1)">'
    report = check_vjp(np.tanh, lambda g, x: {}[evil], np.ones(2), name=evil)
    report.diagnosis = f"`{evil}` {evil}"
    report.notes.append(evil)
    report.where = evil
    assert "<img" not in report._repr_html_()
    assert Page(report._repr_html_()).text.count(evil) >= 4


def test_what_stands_in_backticks_is_code() -> None:
    assert page.quoted("You treat `r = x < 1` as constant") == "You treat <code>r = x &lt; 1</code> as constant"


def test_a_large_array_shows_its_worst_entry_and_says_what_is_left_out() -> None:
    def rule(g, x):
        d = g * 1.0
        d[..., 30] = 7 * g[..., 30]
        return d

    report = check_vjp(lambda x: x * 1.0, rule, np.ones((2, 2, 3, 40)))
    text = Page(report._repr_html_()).text
    assert "26 to 33 of axis 3" in text
    (wrong,) = report.counterexample.wrong
    parsed = Page(page.wrong_result(wrong))
    assert any("off" in (a.get("class") or "") for _, a in parsed.tags)


def test_numbers_of_any_kind_are_shown() -> None:
    for a in (np.array(3.5), np.array([np.nan, np.inf, -0.0]), np.zeros((2, 0)), np.arange(7), np.ones((1, 9, 2, 2))):
        Page(page.figure("a", a))
    assert "nan" in page.figure("a", np.array([np.nan]))
    assert ">-0<" not in page.figure("a", np.array([-0.0]))


def test_the_counterexample_is_json(flipped) -> None:
    content = json.loads(json.dumps(flipped.as_dict()))["counterexample"]
    (wrong,) = flipped.counterexample.wrong
    np.testing.assert_array_equal(content["wrong"][0]["expected"], wrong.expected)
    np.testing.assert_array_equal(content["inputs"]["x"], flipped.counterexample.inputs["x"])
    assert content["case"] == flipped.case
