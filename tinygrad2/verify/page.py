"""Reports as pages for notebooks: escaped, with nothing from outside, in light and dark, readable without colours.

Arrays are shown as grids: blue for positive entries, orange for negative ones, stronger for larger ones. Every entry is
printed too, wrong entries have a thick border, and each grid has a text alternative.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.counterexample import Counterexample, Wrong, compact
from tinygrad2.verify.style import STYLE

if TYPE_CHECKING:
    from tinygrad2.verify.report import Report

Word = Literal["right", "wrong", "uncertified"]

MARKS: dict[Word, str] = {"right": "✓", "wrong": "✗", "uncertified": "?"}
SIZE = 8  # rows and columns of a grid; the rest is left out, and the caption says so
PLANES = 6  # of an array with more than two axes


def report(r: Report) -> str:
    """The page of one report of a derivation."""
    parts = [ladder(r.passed, r.failed, r.steps, MARKS[r.verdict])]
    if r.reason is not None:
        parts.append(paragraph(f"Neither right nor wrong can be told: {r.reason}"))
    if r.finding:
        parts.append(paragraph(r.finding))
    if r.counterexample:
        parts.append(counterexample(r.counterexample))
    if r.verdict == "wrong" and r.failed != "signature":
        parts.append(diagnosis(r))
    parts += [paragraph(f"Checked: {r.checked}", "soft")] if r.checked else []
    parts += [paragraph(f"Note: {note}", "soft") for note in r.notes]
    if r.reproduce and r.verdict == "wrong":
        parts.append(f"<h4>Next</h4><p>Reproduce: {code(r.reproduce)}</p><p>A hint: {code(r.hint or '')}</p>")
    return card(r.verdict, r.title, "".join(parts), f"{r.calls} calls of the rule, {r.seconds:.2f} s")


def card(verdict: Word, title: str, body: str, cost: str = "") -> str:
    """The frame of every report: the verdict as a word and a mark, the title, and a body of HTML."""
    head = (
        f'<span class="verdict">{MARKS[verdict]} {verdict.upper()}</span><span class="name">{html.escape(title)}</span>'
        f'<span class="soft">{html.escape(cost)}</span>'
    )
    return f'<article class="tg2 {verdict}"><style>{STYLE}</style><header>{head}</header>{body}</article>'


def preformatted(text: str) -> str:
    """Lines of text, as they are."""
    return f"<pre>{html.escape(text)}</pre>"


def paragraph(text: str, kind: str = "finding") -> str:
    """A sentence."""
    return f'<p class="{kind}">{quoted(text)}</p>'


def code(text: str) -> str:
    """Something to type."""
    return f"<code>{html.escape(text)}</code>"


def quoted(text: str) -> str:
    """A text, escaped; what stands between `backticks` in it is code."""
    return "".join(code(part) if i % 2 else html.escape(part) for i, part in enumerate(text.split("`")))


def ladder(passed: Sequence[str], failed: str | None, steps: int, mark: str) -> str:
    """The steps of the ladder: those passed, the one that failed, and how many were not reached."""
    items = [f'<li class="passed">✓ {html.escape(step)}</li>' for step in passed]
    items += [f'<li class="failed">{mark} {html.escape(failed)}</li>'] if failed else []
    rest = steps - len(items)
    items += [f'<li class="rest">{rest} more not reached</li>'] if rest > 0 else []
    return f'<ol aria-label="steps of the check">{"".join(items)}</ol>'


def diagnosis(r: Report) -> str:
    """What the mistake is; else in which configurations the rule is right."""
    if r.diagnosis:
        said = f'<p class="said">{quoted(r.diagnosis)}</p>'
    else:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{right} of {n} right</td></tr>"
            for name, (right, n) in r.failures_by_configuration.items()
        )
        table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
        said = f"<p>No single known mistake explains every case, so none is named.</p>{table}"
    ones = ""
    if r.ones_would_catch is not None:
        answer = "yes" if r.ones_would_catch else "no"
        ones = f'<p class="soft">Would an all-ones cotangent have caught it? <b>{answer}</b></p>'
    return f"<h4>Diagnosis</h4>{said}{ones}"


def counterexample(c: Counterexample) -> str:
    """The smallest failing case: what went in, then yours, expected and the difference, side by side."""
    given = "".join(figure(name, a) for name, a in {**c.inputs, **c.cotangents}.items())
    results = "".join(f'<div class="grids">{wrong_result(w)}</div>' for w in c.wrong)
    why = f"<p>Why: {html.escape(c.why)}</p>" if c.why else ""
    return (
        f'<h4>Smallest failing case found</h4><p class="case">{html.escape(c.case)}</p>'
        f'<div class="grids">{given}</div>{results}{why}'
    )


def wrong_result(w: Wrong) -> str:
    """The three grids of one result. Of large arrays they show the part with the most wrong entry."""
    difference = w.difference
    if w.yours is None:
        broken = (
            f"<figure><figcaption><b>your {html.escape(w.name)}</b>: nothing, the rule breaks</figcaption></figure>"
        )
        return broken + figure(f"expected {w.name}", w.expected)
    if difference is None:
        return figure(f"your {w.name}", w.yours) + figure(f"expected {w.name}", w.expected)
    size = np.where(np.isfinite(difference), np.abs(difference), np.inf)
    off = size > 1e-6 * np.abs(w.expected).max(initial=1e-3)
    worst = tuple(map(int, np.unravel_index(int(size.argmax()), size.shape))) if size.ndim else ()
    return (
        figure(f"your {w.name}", w.yours, off, worst)
        + figure(f"expected {w.name}", w.expected, None, worst)
        + figure("yours - expected", np.where(off, difference, 0.0), off, worst)
    )


def figure(name: str, a: Array, off: Array | None = None, focus: tuple[int, ...] = ()) -> str:
    """An array as grids with a caption and, as text alternative, the array in a line.

    off: True for entries that get a thick border. focus: an entry that must be seen, if not all can be.
    """
    a = np.asarray(a)
    off = np.zeros(a.shape, bool) if off is None else off
    focus = focus or (0,) * a.ndim
    shape = "×".join(map(str, a.shape)) or "a number"
    top = float(np.abs(np.where(np.isfinite(a), a, 0.0)).max(initial=0.0))
    window = tuple(part(n, at) for n, at in zip(a.shape[-2:], focus[-2:], strict=True))
    places = sorted(product(*map(range, a.shape[:-2])), key=lambda place: place != focus[:-2])
    tables = "".join(
        grid(a[place + window], off[place + window], top, str([*place]) if len(places) > 1 else "")
        for place in places[:PLANES]
    )
    left_out = f"; {len(places) - PLANES} more planes" if len(places) > PLANES else ""
    for axis, (n, seen) in enumerate(zip(a.shape[-2:], window, strict=True), a.ndim - len(window)):
        left_out += f"; {seen.start} to {seen.stop - 1} of axis {axis}" if n > SIZE else ""
    label = html.escape(f"{name}, shape {shape}: {compact(a)}", quote=True)
    caption = f"<figcaption><b>{html.escape(name)}</b> {shape}{left_out}</figcaption>"
    return f'<figure role="group" aria-label="{label}">{caption}<div class="planes">{tables}</div></figure>'


def part(n: int, at: int) -> slice:
    """What is shown of an axis of n entries: all, or a part with the entry `at` in it."""
    start = max(0, min(at - SIZE // 2, n - SIZE))
    return slice(start, min(start + SIZE, n))


def grid(plane: Array, off: Array, top: float, title: str) -> str:
    """One plane of an array as a table, with the place of the plane above it where there are several."""
    rows = "".join(
        f"<tr>{''.join(cell(value, bool(marked), top) for value, marked in zip(row, marks, strict=True))}</tr>"
        for row, marks in zip(np.atleast_2d(plane), np.atleast_2d(off), strict=True)
    )
    caption = f"<caption>{title}</caption>" if title else ""
    return f"<table>{caption}<tbody>{rows}</tbody></table>"


def cell(value: float, off: bool, top: float) -> str:
    """One entry, shaded by its sign and size."""
    strength = 0.55 * abs(float(value)) / top if top and np.isfinite(value) else 0.0
    kind = ["plus" if value > 0 else "minus"] if strength > 0.005 else []
    kind += ["off"] if off else []
    classes = f' class="{" ".join(kind)}"' if kind else ""
    style = f' style="--a:{strength:.2f}"' if strength > 0.005 else ""
    return f"<td{classes}{style}>{float(value) + 0.0:.4g}</td>"
