"""Answers to lesson 1: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def last_of_repeated_rows(g, table, rows):
    d = np.zeros_like(table)
    d[rows] = g
    return d


def added_once(g, table, rows):
    d = np.zeros_like(table)
    d[rows] += g
    return d


def divided_by_count(g, table, rows):
    d = np.zeros_like(table)
    np.add.at(d, rows, g)
    return d / np.maximum(np.bincount(rows, minlength=len(table)), 1)[:, None]


def row_by_row(g, table, rows):
    d = np.zeros_like(table)
    for cotangent, row in zip(g, rows, strict=True):
        d[row] = d[row] + cotangent
    return d


def as_counts(g, table, rows):
    return (np.arange(len(table))[:, None] == rows).astype(table.dtype) @ g


def when_all_arrows_are_in(last):
    """Kahn's algorithm: count the arrows that each node waits for."""
    waits = {}
    seen = []
    stack = [last]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.append(node)
        for source, _ in node.made_from:
            waits[source] = waits.get(source, 0) + 1
            stack.append(source)
    found = []
    ready = [last]
    while ready:
        node = ready.pop()
        found.append(node)
        for source, _ in node.made_from:
            waits[source] -= 1
            if waits[source] == 0:
                ready.append(source)
    return found


def by_longest_way(last):
    """Sort by the number of steps from the result on the longest way."""
    far = {last: 0}
    changed = True
    while changed:
        changed = False
        for node in list(far):
            for source, _ in node.made_from:
                if far.get(source, -1) < far[node] + 1:
                    far[source] = far[node] + 1
                    changed = True
    return sorted(far, key=far.get)


def first_seen(last):
    """Level by level, in the order in which nodes are met."""
    found = [last]
    for node in found:
        for source, _ in node.made_from:
            if source not in found:
                found.append(source)
    return found


def inputs_first(last):
    found = []

    def visit(node):
        if node not in found:
            for source, _ in node.made_from:
                visit(source)
            found.append(node)

    visit(last)
    return found


def every_path(last):
    found = [last]
    for source, _ in last.made_from:
        found += every_path(source)
    return found


RIGHT = {
    "square": [lambda g, x: x * g + g * x, lambda g, x: 2.0 * np.multiply(x, g)],
    "product": [lambda g, a, b: (b * g, a * g), lambda g, a, b: [np.multiply(g, b), np.multiply(a, g)]],
    "order": [when_all_arrows_are_in, by_longest_way],
    "bump": [
        lambda g, x: g * (1 - 2 * x**2) * np.exp(-(x**2)),
        lambda g, x: g / np.exp(x * x) - 2 * x * x * g / np.exp(x * x),
    ],
    "bias": [lambda g, x, b: np.ones(len(g), g.dtype) @ g, lambda g, x, b: np.einsum("nd->d", g)],
    "mean_square": [
        lambda g, p, t: 2 * g * (p - t) / (p.shape[0] * p.shape[1]),
        lambda g, p, t: np.mean(g) * (p - t) / (0.5 * p.size),
    ],
    "embedding": [row_by_row, as_counts],
}

WRONG = {
    "square": [
        ("right after multiplying by 2", lambda g, x: g * x),
        ("The cotangent is ignored", lambda g, x: 2 * x),
        ("right after dividing the result by x", lambda g, x: 2 * g * x * x),
    ],
    "product": [
        ("The results da and db have changed places", lambda g, a, b: (g * a, g * b)),
        ("The cotangent is ignored", lambda g, a, b: (b, a)),
        ("The factor b is missing", lambda g, a, b: (g, g)),
    ],
    "order": [
        ("A node comes too early", first_seen),
        ("The list begins with the result", inputs_first),
        ("A node is listed twice", every_path),
        ("A node is missing", lambda last: [last]),
    ],
    "bump": [
        ("You treat `np.exp(-x * x)`", lambda g, x: g * np.exp(-x * x)),
        ("You treat `x`", lambda g, x: -2 * g * x * x * np.exp(-x * x)),
        ("has the wrong sign", lambda g, x: g * (1 + 2 * x * x) * np.exp(-x * x)),
        ("The factor x is missing", lambda g, x: g * (1 - 2 * x) * np.exp(-x * x)),
    ],
    "bias": [
        ("Right after summing over the axes that were broadcast", lambda g, x, b: g),
        ("right after multiplying by n", lambda g, x, b: g.mean(0)),
        ("The cotangent is ignored", lambda g, x, b: len(g) * np.ones_like(b)),
    ],
    "mean_square": [
        ("right after multiplying by 1/(n·d)", lambda g, p, t: g * 2 * (p - t)),
        ("right after multiplying by 1/d", lambda g, p, t: g * 2 * (p - t) / len(p)),
        ("The cotangent is ignored", lambda g, p, t: 2 * (p - t) / p.size),
        ("right after multiplying by 2", lambda g, p, t: g * (p - t) / p.size),
    ],
    "embedding": [
        ("they must add", last_of_repeated_rows),
        ("they must add", added_once),
        ("A row that is taken twice gets the sum", divided_by_count),
    ],
}
