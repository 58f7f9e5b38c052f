"""Attention and its parts. The examples have as many queries as keys as features, so that transposes fit."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, softmax

# --- scaled scores


def scores(q, k):
    d = q.shape[-1]
    return q @ k.T / np.sqrt(d)


def scores_vjp(g, q, k):
    scale = 1 / np.sqrt(q.shape[1])
    return scale * g @ k, scale * g.T @ q


def scores_vjp_einsum(g, q, k):
    g = g / q.shape[1] ** 0.5
    return np.einsum("ij,jd->id", g, k), np.einsum("ij,id->jd", g, q)


SCORES = Function(
    "scores",
    scores,
    draw(1, (3, 3), (3, 3)),
    (scores_vjp, scores_vjp_einsum),
    (
        Wrong(
            "no scale",
            lambda g, q, k: (g @ k, g.T @ q),
            "factor",
            "The 1/sqrt(d) of the scores is missing.",
            ("factor sqrt(d)", "factor sqrt(3)", "scale forgotten", "missing scale"),
            "/ np.sqrt(d)",
        ),
        Wrong(
            "divided by d",
            lambda g, q, k: (g @ k / q.shape[1], g.T @ q / q.shape[1]),
            "factor",
            "The scale is 1/d instead of 1/sqrt(d).",
            ("wrong-constant", "square root forgotten", "wrong-power", "factor 1/sqrt(d)", "factor 1/sqrt(3)"),
            "/ np.sqrt(d)",
        ),
        Wrong(
            "keys without transpose",
            lambda g, q, k: (g @ k / np.sqrt(3), g @ q / np.sqrt(3)),
            "transpose",
            "The keys' gradient uses g instead of its transpose.",
            ("dk wrong", "g instead of g.T", "second input not transposed"),
            "q @ k.T",
        ),
        Wrong(
            "queries with transpose",
            lambda g, q, k: (g.T @ k / np.sqrt(3), g.T @ q / np.sqrt(3)),
            "transpose",
            "The queries' gradient uses the transpose of g instead of g.",
            ("dq wrong", "g.T instead of g", "first input transposed"),
            "q @ k.T",
        ),
        Wrong(
            "exchanged",
            lambda g, q, k: scores_vjp(g, q, k)[::-1],
            "swapped",
            "The gradients of queries and keys are exchanged.",
            ("dq and dk in the wrong order", "wrong-order"),
        ),
        Wrong(
            "scale on one side",
            lambda g, q, k: (g @ k / np.sqrt(3), g.T @ q),
            "factor",
            "The scale is missing from the keys' gradient alone.",
            ("factor sqrt(d) in dk", "second input misses the scale", "factor sqrt(3)"),
            "/ np.sqrt(d)",
        ),
    ),
)

# --- softmax of given scores, times values


def attend(s, v):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v


def attend_vjp(g, s, v):
    p = softmax(s)
    dp = g @ v.T
    return p * (dp - (dp * p).sum(axis=1, keepdims=True)), p.T @ g


def attend_vjp_rows(g, s, v):
    ds, dv = np.zeros_like(s), np.zeros_like(v)
    for i in range(len(s)):
        p = np.exp(s[i]) / np.exp(s[i]).sum()
        ds[i] = (np.diag(p) - np.outer(p, p)) @ (v @ g[i])
        dv += np.outer(p, g[i])
    return ds, dv


def attend_ds(ds):
    def vjp(g, s, v):
        p = softmax(s)
        return ds(p, g @ v.T), p.T @ g

    return vjp


ATTEND = Function(
    "attend",
    attend,
    draw(2, (3, 3), (3, 3)),
    (attend_vjp, attend_vjp_rows),
    (
        Wrong(
            "elementwise softmax",
            attend_ds(lambda p, dp: dp * p * (1 - p)),
            "elementwise",
            "The softmax is differentiated elementwise, as if it were a sigmoid: p (1-p).",
            ("diagonal of the Jacobian only", "off-diagonal terms missing", "missing-term"),
            "p = e / e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "normaliser constant",
            attend_ds(lambda p, dp: dp * p),
            "detached",
            "The normaliser of the softmax is treated as a constant.",
            ("missing-term", "row sum not subtracted", "elementwise", "quotient rule"),
            "e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "sum down the columns",
            attend_ds(lambda p, dp: p * (dp - (dp * p).sum(axis=0, keepdims=True))),
            "wrong-axis",
            "The inner sum of the softmax's gradient runs down the columns instead of along the rows.",
            ("axis 0 instead of axis 1", "sum over queries"),
            "e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "values without transpose",
            lambda g, s, v: (attend_vjp(g, s, v)[0], softmax(s) @ g),
            "transpose",
            "The values' gradient uses the weights without transposing them.",
            ("dv wrong", "p instead of p.T"),
            "p @ v",
        ),
        Wrong(
            "weights' gradient without transpose",
            lambda g, s, v: (
                softmax(s) * (g @ v - (g @ v * softmax(s)).sum(axis=1, keepdims=True)),
                softmax(s).T @ g,
            ),
            "transpose",
            "The gradient of the weights uses v instead of its transpose.",
            ("ds wrong", "v instead of v.T", "g @ v"),
            "p @ v",
        ),
        Wrong(
            "values by the scores",
            lambda g, s, v: (attend_vjp(g, s, v)[0], s.T @ g),
            "wrong-point",
            "The values' gradient uses the scores instead of their softmax.",
            ("wrong-variable", "s instead of p", "softmax forgotten in dv"),
            "p @ v",
        ),
    ),
)

# --- causal attention

SEEN = np.tril(np.ones((4, 4), dtype=bool))


def causal(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    s = np.where(SEEN, s, -np.inf)
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return p @ v


def causal_by(mask=SEEN, scale=True, inner="rows", keys="transposed", values="transposed"):
    def vjp(g, q, k, v):
        p = softmax(np.where(mask, q @ k.T / np.sqrt(q.shape[1]), -np.inf))
        dp = g @ v.T
        if inner == "rows":
            ds = p * (dp - (dp * p).sum(axis=1, keepdims=True))
        elif inner == "none":
            ds = p * dp
        else:
            ds = p * (dp - dp.sum(axis=1, keepdims=True))
        if scale:
            ds = ds / np.sqrt(q.shape[1])
        return ds @ k, (ds.T if keys == "transposed" else ds) @ q, (p.T if values == "transposed" else p) @ g

    return vjp


def causal_vjp_loop(g, q, k, v):
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    scale = q.shape[1] ** -0.5
    for i in range(len(q)):
        e = np.exp(scale * k[: i + 1] @ q[i])
        p = e / e.sum()
        out = p @ v[: i + 1]
        for j in range(i + 1):
            ds = p[j] * g[i] @ (v[j] - out)
            dq[i] += scale * ds * k[j]
            dk[j] += scale * ds * q[i]
            dv[j] += p[j] * g[i]
    return dq, dk, dv


CAUSAL = Function(
    "causal",
    causal,
    draw(3, (4, 3), (4, 3), (4, 3)),
    (causal_by(), causal_vjp_loop),
    (
        Wrong(
            "mask forgotten",
            causal_by(mask=np.ones((4, 4), dtype=bool)),
            "mask",
            "The causal mask is forgotten in the backward pass: the weights are recomputed over all keys.",
            ("forgot the mask", "future keys get a gradient", "softmax over all keys"),
            "s = np.where(SEEN, s, -np.inf)",
        ),
        Wrong(
            "mask transposed",
            causal_by(mask=SEEN.T),
            "transpose",
            "The causal mask is transposed: each query sees the future instead of the past.",
            ("mask", "wrong mask", "triu instead of tril"),
            "s = np.where(SEEN, s, -np.inf)",
        ),
        Wrong(
            "no scale",
            causal_by(scale=False),
            "factor",
            "The 1/sqrt(d) is missing from the gradients of queries and keys.",
            ("scale forgotten", "factor sqrt(d)", "factor sqrt(3)", "missing-inner-derivative"),
            "s = q @ k.T / np.sqrt(q.shape[1])",
        ),
        Wrong(
            "normaliser constant",
            causal_by(inner="none"),
            "detached",
            "The normaliser of the softmax is treated as a constant.",
            ("missing-term", "row sum not subtracted", "elementwise"),
            "np.exp(s).sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "row sum not weighted",
            causal_by(inner="plain"),
            "missing-factor",
            "The row sum that is subtracted is not weighted by the attention weights.",
            ("missing p in the inner sum", "sum of dp instead of sum of dp * p", "softmax Jacobian wrong"),
            "np.exp(s).sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "keys without transpose",
            causal_by(keys="plain"),
            "transpose",
            "The keys' gradient uses the scores' gradient without transposing it.",
            ("dk wrong", "ds instead of ds.T"),
            "q @ k.T",
        ),
        Wrong(
            "values without transpose",
            causal_by(values="plain"),
            "transpose",
            "The values' gradient uses the weights without transposing them.",
            ("dv wrong", "p instead of p.T"),
            "p @ v",
        ),
    ),
)

# --- a whole head


def head(x, wq, wk, wv):
    q, k, v = x @ wq, x @ wk, x @ wv
    p = softmax(q @ k.T / np.sqrt(q.shape[1]))
    return p @ v


def head_parts(g, x, wq, wk, wv):
    q, k, v = x @ wq, x @ wk, x @ wv
    p = softmax(q @ k.T / np.sqrt(q.shape[1]))
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ g


def head_vjp(g, x, wq, wk, wv):
    dq, dk, dv = head_parts(g, x, wq, wk, wv)
    return dq @ wq.T + dk @ wk.T + dv @ wv.T, x.T @ dq, x.T @ dk, x.T @ dv


def head_vjp_joint(g, x, wq, wk, wv):
    w = np.concatenate([wq, wk, wv], axis=1)
    d = np.concatenate(head_parts(g, x, wq, wk, wv), axis=1)
    dw = np.split(x.T @ d, 3, axis=1)
    return d @ w.T, *dw


def head_from(dx=None, weights=None):
    def vjp(g, x, wq, wk, wv):
        parts = head_parts(g, x, wq, wk, wv)
        right = head_vjp(g, x, wq, wk, wv)
        return dx(*parts, wq, wk, wv) if dx else right[0], *(weights(x, *parts) if weights else right[1:])

    return vjp


def head_projected_twice(g, x, wq, wk, wv):
    dx, _, dwk, dwv = head_vjp(g, x, wq, wk, wv)
    return dx, (x @ wq).T @ head_parts(g, x, wq, wk, wv)[0], dwk, dwv


HEAD = Function(
    "attention_head",
    head,
    draw(4, (4, 3), (3, 3), (3, 3), (3, 3), scale=0.8),
    (head_vjp, head_vjp_joint),
    (
        Wrong(
            "no key path",
            head_from(dx=lambda dq, dk, dv, wq, wk, wv: dq @ wq.T + dv @ wv.T),
            "missing-term",
            "The gradient of x leaves out the path through the keys.",
            ("only-part", "missing dk @ wk.T", "missing path"),
            "q, k, v = x @ wq, x @ wk, x @ wv",
        ),
        Wrong(
            "no value path",
            head_from(dx=lambda dq, dk, dv, wq, wk, wv: dq @ wq.T + dk @ wk.T),
            "missing-term",
            "The gradient of x leaves out the path through the values.",
            ("only-part", "missing dv @ wv.T", "missing path"),
            "q, k, v = x @ wq, x @ wk, x @ wv",
        ),
        Wrong(
            "only the value path",
            head_from(dx=lambda dq, dk, dv, wq, wk, wv: dv @ wv.T),
            "detached",
            "The attention weights are treated as constants in the gradient of x.",
            ("missing-term", "only-part", "query and key paths missing", "softmax not differentiated"),
            "p = softmax(q @ k.T / np.sqrt(q.shape[1]))",
        ),
        Wrong(
            "weights not transposed",
            head_from(dx=lambda dq, dk, dv, wq, wk, wv: dq @ wq + dk @ wk + dv @ wv),
            "transpose",
            "The projections are not transposed in the gradient of x.",
            ("w instead of w.T", "missing transpose"),
            "q, k, v = x @ wq, x @ wk, x @ wv",
        ),
        Wrong(
            "query and key weights exchanged",
            head_from(weights=lambda x, dq, dk, dv: (x.T @ dk, x.T @ dq, x.T @ dv)),
            "swapped",
            "The gradients of wq and wk are exchanged.",
            ("dwq and dwk in the wrong order", "second and third gradient swapped"),
        ),
        Wrong(
            "projected queries in the weights",
            head_projected_twice,
            "wrong-variable",
            "The gradient of wq uses the projected queries instead of x.",
            ("q instead of x", "wrong-point", "output of the layer instead of its input", "dwq wrong"),
            "q, k, v = x @ wq, x @ wk, x @ wv",
        ),
    ),
)

# --- additive attention pooling


def additive(h, w, u):
    hidden = np.tanh(h @ w)
    energy = hidden @ u
    weights = softmax(energy)
    return weights @ h


def additive_by(values=True, energy="softmax", slope="tanh", transposed=True, du=None):
    def vjp(g, h, w, u):
        hidden = np.tanh(h @ w)
        a = softmax(hidden @ u)
        da = h @ g
        de = a * (da - a @ da) if energy == "softmax" else a * (1 - a) * da
        dpre = np.outer(de, u) * (1 - hidden**2 if slope == "tanh" else 1)
        dh = dpre @ (w.T if transposed else w)
        if values:
            dh = dh + np.outer(a, g)
        return dh, h.T @ dpre, (du or (lambda hidden, de: hidden.T @ de))(hidden, de)

    return vjp


def additive_values_only(g, h, w, u):
    a = softmax(np.tanh(h @ w) @ u)
    return np.outer(a, g), *additive_by()(g, h, w, u)[1:]


ADDITIVE = Function(
    "additive_attention",
    additive,
    draw(5, (4, 3), (3, 3), (3,)),
    (additive_by(),),
    (
        Wrong(
            "weights constant",
            additive_values_only,
            "detached",
            "The attention weights are treated as constants in the gradient of h.",
            ("missing-term", "only-part", "only the value path", "path through the energies missing"),
            "weights = softmax(energy)",
        ),
        Wrong(
            "no value path",
            additive_by(values=False),
            "missing-term",
            "The gradient of h leaves out its use as values.",
            ("only-part", "only the path through the energies", "missing path"),
            "weights @ h",
        ),
        Wrong(
            "elementwise softmax",
            additive_by(energy="sigmoid"),
            "elementwise",
            "The softmax is differentiated elementwise.",
            ("diagonal of the Jacobian only", "off-diagonal terms missing", "missing-term"),
            "weights = softmax(energy)",
        ),
        Wrong(
            "no tanh derivative",
            additive_by(slope="none"),
            "missing-inner-derivative",
            "The derivative of tanh is missing.",
            ("missing 1 - hidden**2", "tanh not differentiated", "chain rule"),
            "hidden = np.tanh(h @ w)",
        ),
        Wrong(
            "weight matrix not transposed",
            additive_by(transposed=False),
            "transpose",
            "The matrix w is not transposed in the gradient of h.",
            ("w instead of w.T", "missing transpose"),
            "h @ w",
        ),
        Wrong(
            "vector by a mean",
            additive_by(du=lambda hidden, de: hidden.T @ de / len(de)),
            "mean-for-sum",
            "The gradient of u is a mean over the positions instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "du wrong"),
            "energy = hidden @ u",
        ),
    ),
)

# --- linear attention


def linear_attention(q, k, v):
    fq, fk = np.exp(q), np.exp(k)
    top = fq @ (fk.T @ v)
    bottom = fq @ fk.sum(axis=0)
    return top / bottom[:, None]


def linear_attention_by(bottom_q=True, bottom_k=True, features=True, top_k=True, dv=None):
    def vjp(g, q, k, v):
        fq, fk = np.exp(q), np.exp(k)
        memory, total = fk.T @ v, fk.sum(axis=0)
        bottom = (fq @ total)[:, None]
        out = fq @ memory / bottom
        dtop = g / bottom
        dbottom = -(g * out).sum(axis=1, keepdims=True) / bottom
        dfq = dtop @ memory.T + (dbottom * total if bottom_q else 0)
        dfk = np.zeros_like(k)
        if top_k:
            dfk = dfk + v @ (fq.T @ dtop).T
        if bottom_k:
            dfk = dfk + (fq * dbottom).sum(axis=0)
        if features:
            dfq, dfk = dfq * fq, dfk * fk
        return dfq, dfk, dv(fq, fk, g) if dv else fk @ (fq.T @ dtop)

    return vjp


def linear_attention_vjp_weights(g, q, k, v):
    products = np.exp(q) @ np.exp(k).T
    p = products / products.sum(axis=1, keepdims=True)
    dp = g @ v.T
    dlog = p * (dp - (p * dp).sum(axis=1, keepdims=True))
    joint = np.exp(q)[:, None, :] * np.exp(k)[None, :, :] / products[:, :, None]
    return np.einsum("ij,ijd->id", dlog, joint), np.einsum("ij,ijd->jd", dlog, joint), p.T @ g


LINEAR_ATTENTION = Function(
    "linear_attention",
    linear_attention,
    draw(6, (3, 2), (4, 2), (4, 2), scale=0.7),
    (linear_attention_by(), linear_attention_vjp_weights),
    (
        Wrong(
            "denominator constant",
            linear_attention_by(bottom_q=False, bottom_k=False),
            "detached",
            "The normaliser is treated as a constant for queries and keys.",
            ("missing-term", "quotient rule", "bottom not differentiated"),
            "top / bottom[:, None]",
        ),
        Wrong(
            "denominator constant for the keys",
            linear_attention_by(bottom_k=False),
            "missing-term",
            "The keys' path through the normaliser is missing; the queries' is there.",
            ("detached", "dk wrong", "missing path", "sum of the keys not differentiated"),
            "bottom = fq @ fk.sum(axis=0)",
        ),
        Wrong(
            "no feature derivative",
            linear_attention_by(features=False),
            "missing-inner-derivative",
            "The derivative of the exponential features is missing.",
            ("chain rule", "missing exp(q)", "exp not differentiated", "missing-factor"),
            "fq, fk = np.exp(q), np.exp(k)",
        ),
        Wrong(
            "keys by the normaliser alone",
            linear_attention_by(top_k=False),
            "missing-term",
            "The keys' path through the numerator is missing.",
            ("only-part", "dk wrong", "missing path", "memory not differentiated"),
            "top = fq @ (fk.T @ v)",
        ),
        Wrong(
            "values not normalised",
            linear_attention_by(dv=lambda fq, fk, g: fk @ (fq.T @ g)),
            "missing-factor",
            "The values' gradient lacks the division by the normaliser.",
            ("missing 1/bottom", "dv wrong", "missing-inner-derivative"),
            "top / bottom[:, None]",
        ),
    ),
)

# --- softly capped scores

CAP = 2.0


def soft_cap(s):
    capped = CAP * np.tanh(s / CAP)
    return softmax(capped)


def soft_cap_vjp(g, s):
    t = np.tanh(s / CAP)
    p = softmax(CAP * t)
    return p * (g - (g * p).sum(axis=1, keepdims=True)) * (1 - t**2)


def soft_cap_vjp_matrix(g, s):
    rows = []
    for row, cotangent in zip(s, g, strict=True):
        p = soft_cap(row[None])[0]
        jacobian = (np.diag(p) - np.outer(p, p)) @ np.diag(1 / np.cosh(row / CAP) ** 2)
        rows.append(cotangent @ jacobian)
    return np.stack(rows)


def soft_cap_from(ds, dc=lambda p, g: p * (g - (g * p).sum(axis=1, keepdims=True))):
    def vjp(g, s):
        return dc(softmax(CAP * np.tanh(s / CAP)), g) * ds(s)

    return vjp


def soft_cap_slope(s):
    return 1 - np.tanh(s / CAP) ** 2


SOFT_CAP = Function(
    "soft_cap",
    soft_cap,
    draw(7, (3, 4), scale=1.5),
    (soft_cap_vjp, soft_cap_vjp_matrix),
    (
        Wrong(
            "cap counted once",
            soft_cap_from(lambda s: CAP * soft_cap_slope(s)),
            "factor",
            "The inner derivative 1/cap is missing, so that the gradient is cap times too large.",
            ("missing-inner-derivative", "factor cap", "factor 2", "missing 1/CAP"),
            "capped = CAP * np.tanh(s / CAP)",
        ),
        Wrong(
            "no tanh derivative",
            soft_cap_from(lambda s: 1),
            "missing-inner-derivative",
            "The derivative of tanh is missing.",
            ("missing 1 - t**2", "capping not differentiated", "chain rule"),
            "capped = CAP * np.tanh(s / CAP)",
        ),
        Wrong(
            "tanh at the raw scores",
            soft_cap_from(lambda s: 1 - np.tanh(s) ** 2),
            "wrong-point",
            "The derivative of tanh is taken at s instead of s/cap.",
            ("missing division by cap inside tanh", "derivative at the wrong point"),
            "np.tanh(s / CAP)",
        ),
        Wrong(
            "capped value in the derivative",
            soft_cap_from(lambda s: 1 - (CAP * np.tanh(s / CAP)) ** 2),
            "wrong-point",
            "The derivative of tanh uses the capped score, cap times tanh, instead of the tanh itself.",
            ("wrong-variable", "1 - capped**2", "missing division by cap", "output instead of tanh"),
            "capped = CAP * np.tanh(s / CAP)",
        ),
        Wrong(
            "elementwise softmax",
            soft_cap_from(soft_cap_slope, lambda p, g: p * (1 - p) * g),
            "elementwise",
            "The softmax is differentiated elementwise.",
            ("diagonal of the Jacobian only", "off-diagonal terms missing", "missing-term"),
            "softmax(capped)",
        ),
        Wrong(
            "weights of the raw scores",
            lambda g, s: softmax(s) * (g - (g * softmax(s)).sum(axis=1, keepdims=True)) * soft_cap_slope(s),
            "wrong-point",
            "The softmax in the rule is taken of the raw scores instead of the capped ones.",
            ("softmax at the wrong point", "cap forgotten in the softmax", "wrong-variable"),
            "softmax(capped)",
        ),
    ),
)

FUNCTIONS = (SCORES, ATTEND, CAUSAL, HEAD, ADDITIVE, LINEAR_ATTENTION, SOFT_CAP)
