"""Losses."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, sigmoid, softmax


def pair(d):
    """The gradients of a function of a difference."""
    return d, -d


# --- Huber

DELTA = 0.7


def huber(p, t):
    r = p - t
    a = np.abs(r)
    quadratic = 0.5 * r**2
    linear = DELTA * (a - 0.5 * DELTA)
    return np.where(a <= DELTA, quadratic, linear).mean()


def huber_vjp(g, p, t):
    d = np.clip(p - t, -DELTA, DELTA) / p.size
    return g * d, -g * d


def huber_vjp_branches(g, p, t):
    r = p - t
    inside = np.abs(r) <= DELTA
    dr = g / r.size * (inside * r + ~inside * DELTA * np.sign(r))
    return dr, -dr


def huber_by(slope_outside, slope_inside=lambda r: r):
    def vjp(g, p, t):
        r = p - t
        return pair(g * np.where(np.abs(r) <= DELTA, slope_inside(r), slope_outside(r)) / r.size)

    return vjp


HUBER = Function(
    "huber",
    huber,
    draw(1, (7,), (7,)),
    (huber_vjp, huber_vjp_branches),
    (
        Wrong(
            "no mean",
            lambda g, p, t: pair(g * np.clip(p - t, -DELTA, DELTA)),
            "factor",
            "The 1/n of the mean is missing: the gradient is n times too large.",
            ("sum-for-mean", "factor n", "factor 7", "forgot to divide by the number of elements"),
            ".mean()",
        ),
        Wrong(
            "linear branch without a sign",
            huber_by(lambda r: DELTA),
            "sign-in-term",
            "The linear branch lost sign(r): large negative residuals get the gradient of positive ones.",
            ("missing-inner-derivative", "derivative of abs forgotten", "sign of the residual", "wrong for negative r"),
            "linear = DELTA * (a - 0.5 * DELTA)",
        ),
        Wrong(
            "linear branch with slope one",
            huber_by(np.sign),
            "factor-in-term",
            "The linear branch has slope 1 instead of delta.",
            ("missing factor delta in the linear branch", "wrong-constant", "wrong where abs(r) > delta"),
            "linear = DELTA * (a - 0.5 * DELTA)",
        ),
        Wrong(
            "never clipped",
            lambda g, p, t: pair(g * (p - t) / p.size),
            "mask",
            "The quadratic branch is differentiated everywhere; the linear branch for large residuals is forgotten.",
            (
                "forgot the branch",
                "missing clip",
                "only-part",
                "gradient of the squared error",
                "wrong where abs(r) > delta",
            ),
            "np.where(a <= DELTA, quadratic, linear)",
        ),
        Wrong(
            "target like prediction",
            lambda g, p, t: (huber_vjp(g, p, t)[0],) * 2,
            "sign",
            "The gradient of the target has the sign of that of the prediction.",
            ("sign of dt", "second input has the wrong sign", "missing inner derivative -1", "dt should be negated"),
            "r = p - t",
        ),
        Wrong(
            "quadratic branch halved",
            huber_by(lambda r: DELTA * np.sign(r), lambda r: 0.5 * r),
            "factor-in-term",
            "The quadratic branch keeps its 1/2: the 2 of the square is forgotten there.",
            ("forgotten factor 2 in the quadratic branch", "wrong where abs(r) < delta", "factor 1/2 inside"),
            "quadratic = 0.5 * r**2",
        ),
    ),
)

# --- focal loss

GAMMA = 2.0
SIGNS = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])


def focal(z):
    pt = sigmoid(SIGNS * z)
    weight = (1 - pt) ** GAMMA
    return -(weight * np.log(pt)).sum()


def focal_vjp(g, z):
    pt = sigmoid(SIGNS * z)
    dpt = GAMMA * (1 - pt) ** (GAMMA - 1) * np.log(pt) - (1 - pt) ** GAMMA / pt
    return g * dpt * pt * (1 - pt) * SIGNS


def focal_vjp_short(g, z):
    pt = sigmoid(SIGNS * z)
    return g * SIGNS * (1 - pt) ** GAMMA * (GAMMA * pt * np.log(pt) - (1 - pt))


def focal_with(dpt, inner=lambda pt: pt * (1 - pt) * SIGNS):
    def vjp(g, z):
        pt = sigmoid(SIGNS * z)
        return g * dpt(pt) * inner(pt)

    return vjp


def focal_dpt(pt):
    return GAMMA * (1 - pt) ** (GAMMA - 1) * np.log(pt) - (1 - pt) ** GAMMA / pt


FOCAL = Function(
    "focal",
    focal,
    draw(2, (6,)),
    (focal_vjp, focal_vjp_short),
    (
        Wrong(
            "weight held constant",
            focal_with(lambda pt: -((1 - pt) ** GAMMA) / pt),
            "detached",
            "The focusing weight (1-pt)**gamma is treated as a constant; its term of the product rule is missing.",
            ("missing-term", "product rule", "weight not differentiated", "missing log term"),
            "weight = (1 - pt) ** GAMMA",
        ),
        Wrong(
            "only the weight",
            focal_with(lambda pt: GAMMA * (1 - pt) ** (GAMMA - 1) * np.log(pt)),
            "missing-term",
            "The derivative of the logarithm is missing; only the weight was differentiated.",
            ("product rule", "log not differentiated", "missing 1/pt term"),
            "np.log(pt)",
        ),
        Wrong(
            "no label sign",
            focal_with(focal_dpt, lambda pt: pt * (1 - pt)),
            "sign-in-term",
            "The label sign inside the sigmoid is forgotten: negatives get the opposite gradient.",
            (
                "missing-inner-derivative",
                "derivative of SIGNS * z",
                "wrong sign for the negative class",
                "wrong for label -1",
            ),
            "pt = sigmoid(SIGNS * z)",
        ),
        Wrong(
            "no sigmoid derivative",
            focal_with(focal_dpt, lambda pt: SIGNS),
            "missing-inner-derivative",
            "The derivative of the sigmoid, pt (1-pt), is missing.",
            ("chain rule", "missing sigmoid derivative", "derivative with respect to the probability, not the logit"),
            "pt = sigmoid(SIGNS * z)",
        ),
        Wrong(
            "exponent not lowered",
            focal_with(lambda pt: GAMMA * (1 - pt) ** GAMMA * np.log(pt) - (1 - pt) ** GAMMA / pt),
            "wrong-power",
            "The derivative of the weight keeps the exponent gamma instead of gamma-1.",
            ("power rule", "exponent should be gamma - 1", "wrong-derivative"),
            "weight = (1 - pt) ** GAMMA",
        ),
        Wrong(
            "weight sign",
            focal_with(lambda pt: -GAMMA * (1 - pt) ** (GAMMA - 1) * np.log(pt) - (1 - pt) ** GAMMA / pt),
            "sign-in-term",
            "The -1 of the inner derivative of 1-pt is forgotten: the term of the weight has the wrong sign.",
            ("sign of the weight term", "missing inner derivative -1 of 1 - pt", "missing-inner-derivative"),
            "weight = (1 - pt) ** GAMMA",
        ),
    ),
)

# --- multi-class hinge

ROWS = np.arange(4)
LABELS = np.array([2, 0, 1, 1])


def multi_hinge(s):
    correct = s[ROWS, LABELS][:, None]
    margins = np.maximum(0, 1 + s - correct)
    margins[ROWS, LABELS] = 0
    return margins.sum() / len(s)


def multi_hinge_vjp(g, s):
    on = (1 + s - s[ROWS, LABELS][:, None] > 0).astype(float)
    on[ROWS, LABELS] = 0
    on[ROWS, LABELS] = -on.sum(axis=1)
    return g * on / len(s)


def multi_hinge_vjp_loop(g, s):
    ds = np.zeros_like(s)
    for i, label in enumerate(LABELS):
        for j in range(s.shape[1]):
            if j != label and 1 + s[i, j] - s[i, label] > 0:
                ds[i, j] += g / len(s)
                ds[i, label] -= g / len(s)
    return ds


def multi_hinge_correct(value, scale=1.0):
    def vjp(g, s):
        on = (1 + s - s[ROWS, LABELS][:, None] > 0).astype(float)
        on[ROWS, LABELS] = 0
        on[ROWS, LABELS] = value(on.sum(axis=1))
        return g * on / len(s) * scale

    return vjp


def multi_hinge_counts_itself(g, s):
    on = (1 + s - s[ROWS, LABELS][:, None] > 0).astype(float)
    on[ROWS, LABELS] = -on.sum(axis=1)
    return g * on / len(s)


def multi_hinge_no_kink(g, s):
    on = np.ones_like(s)
    on[ROWS, LABELS] = 1 - s.shape[1]
    return g * on / len(s)


MULTI_HINGE = Function(
    "multi_hinge",
    multi_hinge,
    draw(113, (4, 5), scale=1.5),
    (multi_hinge_vjp, multi_hinge_vjp_loop),
    (
        Wrong(
            "correct class minus one",
            multi_hinge_correct(lambda count: -(count > 0).astype(float)),
            "missing-sum",
            "The correct class gets -1 instead of minus the number of violated margins.",
            (
                "missing sum over classes",
                "broadcast axis not summed",
                "correct class should collect every violated margin",
            ),
            "correct = s[ROWS, LABELS][:, None]",
        ),
        Wrong(
            "correct class without gradient",
            multi_hinge_correct(lambda count: 0 * count),
            "missing-term",
            "The path through the score of the correct class is missing.",
            ("detached", "only-part", "correct class gets no gradient", "missing path"),
            "correct = s[ROWS, LABELS][:, None]",
        ),
        Wrong(
            "divided by all entries",
            multi_hinge_correct(lambda count: -count, 1 / 5),
            "factor",
            "The loss is divided by the number of rows, the rule by the number of entries: a factor 1/5.",
            ("factor 1/5", "factor 1/C", "mean over all entries", "mean-for-sum", "wrong-constant"),
            "margins.sum() / len(s)",
        ),
        Wrong(
            "correct class counts itself",
            multi_hinge_counts_itself,
            "mask",
            "The correct class, whose margin was set to zero, is counted among the violated margins.",
            ("off by one in the correct class", "forgot margins[ROWS, LABELS] = 0", "extra -1", "extra-term"),
            "margins[ROWS, LABELS] = 0",
        ),
        Wrong(
            "no maximum",
            multi_hinge_no_kink,
            "mask",
            "The maximum with zero is forgotten: satisfied margins get a gradient as well.",
            ("forgot the mask of the hinge", "derivative of max(0, .) missing", "inactive entries should get zero"),
            "margins = np.maximum(0, 1 + s - correct)",
        ),
        Wrong(
            "correct class positive",
            multi_hinge_correct(lambda count: count),
            "sign-in-term",
            "The correct class has the wrong sign.",
            ("sign of the correct class", "missing -1 of - correct"),
            "margins = np.maximum(0, 1 + s - correct)",
        ),
    ),
)

# --- triplet loss

MARGIN = 0.5


def triplet(a, p, n):
    near = ((a - p) ** 2).sum(axis=1)
    far = ((a - n) ** 2).sum(axis=1)
    return np.maximum(near - far + MARGIN, 0).sum()


def triplet_on(a, p, n):
    return (((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + MARGIN > 0)[:, None]


def triplet_vjp(g, a, p, n):
    on = triplet_on(a, p, n)
    return 2 * g * on * (n - p), 2 * g * on * (p - a), 2 * g * on * (a - n)


def triplet_vjp_steps(g, a, p, n):
    dnear = g * triplet_on(a, p, n)
    dfar = -dnear
    dp = -2 * dnear * (a - p)
    dn = -2 * dfar * (a - n)
    return -dp - dn, dp, dn


TRIPLET = Function(
    "triplet",
    triplet,
    draw(14, (5, 3), (5, 3), (5, 3)),
    (triplet_vjp, triplet_vjp_steps),
    (
        Wrong(
            "no two",
            lambda g, a, p, n: tuple(d / 2 for d in triplet_vjp(g, a, p, n)),
            "factor",
            "The 2 of the squares is missing.",
            ("factor 2", "forgotten factor 2", "factor 1/2"),
            "** 2",
        ),
        Wrong(
            "always active",
            lambda g, a, p, n: (2 * g * (n - p), 2 * g * (p - a), 2 * g * (a - n)),
            "mask",
            "Triplets that satisfy the margin get a gradient too: the maximum with zero is forgotten.",
            ("forgot the hinge mask", "derivative of max(0, .)", "inactive rows should get zero"),
            "np.maximum(near - far + MARGIN, 0)",
        ),
        Wrong(
            "positive and negative swapped",
            lambda g, a, p, n: tuple(triplet_vjp(g, a, p, n)[k] for k in (0, 2, 1)),
            "swapped",
            "The gradients of the positive and of the negative are exchanged.",
            ("dp and dn exchanged", "returned in the wrong order", "second and third gradient swapped"),
        ),
        Wrong(
            "negative pulled",
            lambda g, a, p, n: (*triplet_vjp(g, a, p, n)[:2], 2 * g * triplet_on(a, p, n) * (n - a)),
            "sign",
            "The gradient of the negative has the wrong sign; the others are right.",
            ("sign of dn", "third input has the wrong sign", "forgot the minus of - far"),
            "near - far",
        ),
        Wrong(
            "anchor by the positive alone",
            lambda g, a, p, n: (2 * g * triplet_on(a, p, n) * (a - p), *triplet_vjp(g, a, p, n)[1:]),
            "missing-term",
            "The anchor's gradient leaves out the path through the distance to the negative.",
            ("da misses the far term", "only-part", "missing path", "only one of two uses of a"),
            "far = ((a - n) ** 2).sum(axis=1)",
        ),
        Wrong(
            "anchor with added distances",
            lambda g, a, p, n: (2 * g * triplet_on(a, p, n) * ((a - p) + (a - n)), *triplet_vjp(g, a, p, n)[1:]),
            "sign-in-term",
            "In the anchor's gradient the term of the negative has the wrong sign.",
            ("sign of the far term in da", "minus of - far forgotten in da"),
            "near - far",
        ),
    ),
)

# --- InfoNCE

TAU = 0.5


def info_nce(q, k):
    logits = q @ k.T / TAU
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -np.diag(log_p).mean()


def info_nce_vjp(g, q, k):
    d = (softmax(q @ k.T / TAU) - np.eye(len(q))) / len(q)
    return g * d @ k / TAU, g * d.T @ q / TAU


def info_nce_vjp_loop(g, q, k):
    n = len(q)
    p = np.exp(q @ k.T / TAU)
    p = p / p.sum(axis=1, keepdims=True)
    dq, dk = np.zeros_like(q), np.zeros_like(k)
    for i in range(n):
        dq[i] -= k[i]
        dk[i] -= q[i]
        for j in range(n):
            dq[i] += p[i, j] * k[j]
            dk[j] += p[i, j] * q[i]
    return g * dq / (n * TAU), g * dk / (n * TAU)


def info_nce_from(d):
    def vjp(g, q, k):
        dl = g * d(q @ k.T / TAU) / len(q)
        return dl @ k / TAU, dl.T @ q / TAU

    return vjp


INFO_NCE = Function(
    "info_nce",
    info_nce,
    draw(5, (4, 3), (4, 3), scale=0.8),
    (info_nce_vjp, info_nce_vjp_loop),
    (
        Wrong(
            "no temperature",
            lambda g, q, k: tuple(TAU * d for d in info_nce_vjp(g, q, k)),
            "factor",
            "The 1/tau of the logits is missing from the chain rule.",
            (
                "missing-inner-derivative",
                "factor 1/tau",
                "factor tau",
                "factor 1/2",
                "factor 2",
                "temperature forgotten",
            ),
            "logits = q @ k.T / TAU",
        ),
        Wrong(
            "keys without transpose",
            lambda g, q, k: (info_nce_vjp(g, q, k)[0], g * (softmax(q @ k.T / TAU) - np.eye(4)) @ q / (4 * TAU)),
            "transpose",
            "The keys' gradient uses the logits' gradient without transposing it.",
            ("d instead of d.T in dk", "not transposed", "second input wrong"),
            "q @ k.T",
        ),
        Wrong(
            "no positives",
            info_nce_from(lambda logits: softmax(logits)),
            "missing-term",
            "The identity (the positive pairs) is missing: only the normaliser was differentiated.",
            ("softmax without minus one-hot", "missing -1 on the diagonal", "only the logsumexp term", "only-part"),
            "np.diag(log_p)",
        ),
        Wrong(
            "softmax over queries",
            info_nce_from(lambda logits: softmax(logits, axis=0) - np.eye(4)),
            "wrong-axis",
            "The softmax is normalised over the queries (columns) instead of the keys (rows).",
            ("axis 0 instead of axis 1", "normalised over the wrong axis", "transpose"),
            "np.log(np.exp(logits).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "normaliser constant",
            info_nce_from(lambda logits: -np.eye(4)),
            "detached",
            "The normaliser is treated as a constant: only the positive logits were differentiated.",
            ("missing-term", "logsumexp not differentiated", "softmax term missing", "negatives get no gradient"),
            "np.log(np.exp(logits).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "no batch mean",
            info_nce_from(lambda logits: (softmax(logits) - np.eye(4)) * len(logits)),
            "factor",
            "The mean over the batch is missing: the gradient is n times too large.",
            ("sum-for-mean", "factor n", "factor 4", "forgot 1/n"),
            ".mean()",
        ),
    ),
)

# --- distillation

T = 2.0


def distillation(t, s):
    p = softmax(t / T)
    log_q = np.log(softmax(s / T))
    kl = (p * (np.log(p) - log_q)).sum(axis=1)
    return T**2 * kl.mean()


def distillation_vjp(g, t, s):
    p, q = softmax(t / T), softmax(s / T)
    difference = np.log(p) - np.log(q)
    kl = (p * difference).sum(axis=1, keepdims=True)
    return g * T * p * (difference - kl) / len(t), g * T * (q - p) / len(t)


def distillation_vjp_steps(g, t, s):
    p, q = softmax(t / T), softmax(s / T)
    dkl = g * T**2 / len(t)
    dp = dkl * (np.log(p) - np.log(q) + 1)
    dt = p * (dp - (p * dp).sum(axis=1, keepdims=True)) / T
    dlog_q = -dkl * p
    ds = (dlog_q - q * dlog_q.sum(axis=1, keepdims=True)) / T
    return dt, ds


def distillation_ds(ds):
    def vjp(g, t, s):
        return distillation_vjp(g, t, s)[0], g * ds(t, s) / len(t)

    return vjp


def distillation_teacher_elementwise(g, t, s):
    p, q = softmax(t / T), softmax(s / T)
    return g * T * p * (np.log(p) - np.log(q)) / len(t), g * T * (q - p) / len(t)


DISTILLATION = Function(
    "distillation",
    distillation,
    draw(6, (3, 4), (3, 4), scale=1.5),
    (distillation_vjp, distillation_vjp_steps),
    (
        Wrong(
            "student without 1/T",
            distillation_ds(lambda t, s: T**2 * (softmax(s / T) - softmax(t / T))),
            "factor",
            "The student's gradient lacks the inner derivative 1/T.",
            ("missing-inner-derivative", "factor T", "factor 2", "temperature in the chain rule"),
            "log_q = np.log(softmax(s / T))",
        ),
        Wrong(
            "student without T squared",
            distillation_ds(lambda t, s: (softmax(s / T) - softmax(t / T)) / T),
            "factor",
            "The T**2 in front of the loss is missing from the student's gradient.",
            ("factor T**2", "factor 1/4", "factor 4", "missing scale"),
            "T**2 * kl.mean()",
        ),
        Wrong(
            "student at temperature one",
            distillation_ds(lambda t, s: T * (softmax(s) - softmax(t))),
            "wrong-point",
            "The student's gradient takes the softmaxes at the raw logits instead of the logits over T.",
            ("softmax at the wrong temperature", "missing division by T inside the softmax", "wrong-constant"),
            "softmax(s / T)",
        ),
        Wrong(
            "teacher elementwise",
            distillation_teacher_elementwise,
            "missing-term",
            "The teacher's gradient lacks the term of the softmax normaliser (minus the row's KL).",
            ("elementwise", "detached", "softmax Jacobian treated as diagonal", "missing row sum", "missing -p * sum"),
            "p = softmax(t / T)",
        ),
        Wrong(
            "teacher has no gradient",
            lambda g, t, s: (np.zeros_like(t), distillation_vjp(g, t, s)[1]),
            "detached",
            "The teacher is treated as a constant, although it is an input.",
            ("missing-term", "only-part", "first gradient is zero", "teacher detached"),
            "p = softmax(t / T)",
        ),
        Wrong(
            "student sign",
            distillation_ds(lambda t, s: T * (softmax(t / T) - softmax(s / T))),
            "sign",
            "The student's gradient has the wrong sign: p - q instead of q - p.",
            ("sign of ds", "p and q exchanged", "swapped"),
            "np.log(p) - log_q",
        ),
    ),
)

# --- soft Dice

MASK = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
SMOOTH = 1.0


def dice(z):
    p = sigmoid(z)
    overlap = 2 * (p * MASK).sum() + SMOOTH
    size = (p**2).sum() + MASK.sum() + SMOOTH
    return 1 - overlap / size


def dice_parts(z):
    p = sigmoid(z)
    return p, 2 * (p * MASK).sum() + SMOOTH, (p**2).sum() + MASK.sum() + SMOOTH


def dice_vjp(g, z):
    p, overlap, size = dice_parts(z)
    dp = -2 * MASK / size + 2 * p * overlap / size**2
    return g * dp * p * (1 - p)


def dice_vjp_score(g, z):
    p, overlap, size = dice_parts(z)
    score = overlap / size
    return 2 * g * (p * score - MASK) / size * p * (1 - p)


def dice_with(dp, inner=lambda p: p * (1 - p)):
    def vjp(g, z):
        p, overlap, size = dice_parts(z)
        return g * dp(p, overlap, size) * inner(p)

    return vjp


DICE = Function(
    "dice",
    dice,
    draw(7, (7,)),
    (dice_vjp, dice_vjp_score),
    (
        Wrong(
            "denominator constant",
            dice_with(lambda p, o, s: -2 * MASK / s),
            "missing-term",
            "The denominator is treated as a constant: the second term of the quotient rule is missing.",
            ("detached", "quotient rule", "size not differentiated"),
            "size = (p**2).sum() + MASK.sum() + SMOOTH",
        ),
        Wrong(
            "denominator not squared",
            dice_with(lambda p, o, s: -2 * MASK / s + 2 * p * o / s),
            "wrong-power",
            "In the second term of the quotient rule the denominator is not squared.",
            ("quotient rule", "size instead of size**2", "factor-in-term", "denominator squared"),
            "overlap / size",
        ),
        Wrong(
            "size as if it were a plain sum",
            dice_with(lambda p, o, s: -2 * MASK / s + o / s**2),
            "wrong-derivative",
            "The derivative of the sum of squares is taken as 1 instead of 2p.",
            ("missing-inner-derivative", "derivative of p**2", "missing 2 p", "missing factor 2p"),
            "size = (p**2).sum()",
        ),
        Wrong(
            "no sigmoid derivative",
            dice_with(lambda p, o, s: -2 * MASK / s + 2 * p * o / s**2, lambda p: 1.0),
            "missing-inner-derivative",
            "The derivative of the sigmoid is missing.",
            ("chain rule", "missing p (1 - p)", "gradient with respect to p instead of z"),
            "p = sigmoid(z)",
        ),
        Wrong(
            "plus in the quotient rule",
            dice_with(lambda p, o, s: -2 * MASK / s - 2 * p * o / s**2),
            "sign-in-term",
            "The second term of the quotient rule has the wrong sign.",
            ("quotient rule", "sign of the denominator term"),
            "1 - overlap / size",
        ),
        Wrong(
            "overlap without two",
            dice_with(lambda p, o, s: -MASK / s + 2 * p * o / s**2),
            "factor-in-term",
            "The 2 of the overlap is missing from its term.",
            ("factor 2 in the numerator term", "forgotten factor 2", "first term halved"),
            "overlap = 2 * (p * MASK).sum() + SMOOTH",
        ),
    ),
)

# --- Poisson regression

COUNTS = np.array([0.0, 3.0, 1.0, 2.0, 5.0])


def poisson(x, w):
    eta = x @ w
    rate = np.exp(eta)
    return (rate - COUNTS * eta).mean()


def poisson_vjp(g, x, w):
    d = g * (np.exp(x @ w) - COUNTS) / len(x)
    return np.outer(d, w), x.T @ d


def poisson_vjp_rows(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(x)):
        residual = g * (np.exp(x[i] @ w) - COUNTS[i]) / len(x)
        dx[i] = residual * w
        dw += residual * x[i]
    return dx, dw


def poisson_from(residual):
    def vjp(g, x, w):
        d = g * residual(x @ w) / len(x)
        return np.outer(d, w), x.T @ d

    return vjp


POISSON = Function(
    "poisson",
    poisson,
    draw(8, (5, 3), (3,), scale=0.6),
    (poisson_vjp, poisson_vjp_rows),
    (
        Wrong(
            "linear residual",
            poisson_from(lambda eta: eta - COUNTS),
            "wrong-point",
            "The residual uses the linear predictor eta instead of the rate exp(eta).",
            ("exp forgotten", "wrong-derivative", "derivative of exp", "as for least squares", "missing exp"),
            "rate = np.exp(eta)",
        ),
        Wrong(
            "no counts",
            poisson_from(np.exp),
            "missing-term",
            "The term of the counts is missing.",
            ("only the rate was differentiated", "missing -COUNTS", "second term missing"),
            "COUNTS * eta",
        ),
        Wrong(
            "counts times rate",
            poisson_from(lambda eta: np.exp(eta) - COUNTS * np.exp(eta)),
            "extra-factor",
            "The term of the counts is multiplied by exp(eta), as if it were counts times rate.",
            ("wrong-point", "exp in the wrong term", "wrong-variable", "second term should be -COUNTS"),
            "COUNTS * eta",
        ),
        Wrong(
            "no mean",
            lambda g, x, w: poisson_vjp(g * len(x), x, w),
            "factor",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor n", "factor 5"),
            ".mean()",
        ),
        Wrong(
            "weights by first row",
            lambda g, x, w: (poisson_vjp(g, x, w)[0], g * (np.exp(x[0] @ w) - COUNTS[0]) * x[0] / len(x)),
            "missing-sum",
            "The weights' gradient takes the first row alone; the sum over the rows is missing.",
            ("only-part", "sum over the batch missing", "only the first sample"),
            "eta = x @ w",
        ),
        Wrong(
            "inputs by the rate alone",
            lambda g, x, w: (np.outer(g * np.exp(x @ w) / len(x), w), poisson_vjp(g, x, w)[1]),
            "missing-term",
            "The gradient of x leaves out the counts; that of w is right.",
            ("missing -COUNTS in dx", "first input wrong", "only the rate term"),
            "COUNTS * eta",
        ),
    ),
)

# --- quantile

LEVEL = 0.8


def quantile(p, t):
    r = t - p
    return np.maximum(LEVEL * r, (LEVEL - 1) * r).mean()


def quantile_vjp(g, p, t):
    dr = g * np.where(t > p, LEVEL, LEVEL - 1) / p.size
    return -dr, dr


def quantile_vjp_indicator(g, p, t):
    dp = g * ((p > t) - LEVEL) / p.size
    return dp, -dp


def quantile_from(slope):
    def vjp(g, p, t):
        return pair(g * slope(t - p) / p.size)

    return vjp


QUANTILE = Function(
    "quantile",
    quantile,
    draw(165, (6,), (6,)),
    (quantile_vjp, quantile_vjp_indicator),
    (
        Wrong(
            "levels exchanged",
            quantile_from(lambda r: np.where(r > 0, LEVEL - 1, LEVEL)),
            "swapped",
            "The slopes of the two branches are exchanged: 1-level where the target is above, level where it is below.",
            ("branches exchanged", "level and 1 - level swapped", "wrong-constant"),
            "np.maximum(LEVEL * r, (LEVEL - 1) * r)",
        ),
        Wrong(
            "one level for both sides",
            quantile_from(lambda r: np.where(r > 0, -LEVEL, LEVEL)),
            "wrong-constant",
            "The branch below uses the slope level instead of 1-level.",
            ("factor-in-term", "wrong where the target is below the prediction", "second branch"),
            "(LEVEL - 1) * r",
        ),
        Wrong(
            "no mean",
            quantile_from(lambda r: np.where(r > 0, -LEVEL, 1 - LEVEL) * r.size),
            "factor",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor n", "factor 6"),
            ".mean()",
        ),
        Wrong(
            "residual sign",
            quantile_from(lambda r: np.where(r > 0, LEVEL, LEVEL - 1)),
            "sign",
            "Both gradients have the wrong sign: the residual is target minus prediction.",
            ("sign", "dp and dt exchanged", "swapped", "missing -1"),
            "r = t - p",
        ),
        Wrong(
            "target like prediction",
            lambda g, p, t: (quantile_vjp(g, p, t)[0],) * 2,
            "sign",
            "The target's gradient has the sign of the prediction's.",
            ("second input has the wrong sign", "dt should be negated"),
            "r = t - p",
        ),
        Wrong(
            "only one branch",
            quantile_from(lambda r: np.where(r > 0, -LEVEL, 0)),
            "missing-term",
            "Residuals below zero get no gradient: the second branch of the maximum is forgotten.",
            ("mask", "only-part", "second branch missing", "treated as a relu"),
            "(LEVEL - 1) * r",
        ),
    ),
)

# --- label smoothing

SMOOTHING = 0.2
CLASSES = np.array([1, 3, 0])


def smoothed(z):
    target = np.full(z.shape, SMOOTHING / z.shape[1])
    target[np.arange(len(z)), CLASSES] += 1 - SMOOTHING
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -(target * log_p).sum(axis=1).mean()


def one_hot(z):
    return np.eye(z.shape[1])[CLASSES]


def smoothed_vjp(g, z):
    target = SMOOTHING / z.shape[1] + (1 - SMOOTHING) * one_hot(z)
    return g * (softmax(z) - target) / len(z)


def smoothed_vjp_steps(g, z):
    target = SMOOTHING / z.shape[1] + (1 - SMOOTHING) * one_hot(z)
    d = -g * target / len(z)
    return d - softmax(z) * d.sum(axis=1, keepdims=True)


def smoothed_from(residual):
    def vjp(g, z):
        target = SMOOTHING / z.shape[1] + (1 - SMOOTHING) * one_hot(z)
        return g * residual(z, target) / len(z)

    return vjp


SMOOTHED = Function(
    "smoothed_cross_entropy",
    smoothed,
    draw(10, (3, 4)),
    (smoothed_vjp, smoothed_vjp_steps),
    (
        Wrong(
            "hard labels",
            smoothed_from(lambda z, t: softmax(z) - one_hot(z)),
            "wrong-constant",
            "The smoothing of the targets is forgotten: hard one-hot labels.",
            ("one-hot instead of smoothed target", "missing-term", "label smoothing forgotten"),
            "target = np.full(z.shape, SMOOTHING / z.shape[1])",
        ),
        Wrong(
            "smoothing among the others",
            smoothed_from(lambda z, t: softmax(z) - ((1 - SMOOTHING) * one_hot(z) + SMOOTHING / 3 * (1 - one_hot(z)))),
            "wrong-constant",
            "The smoothing is spread over the C-1 other classes instead of all C.",
            ("smoothing / (C - 1)", "wrong target", "C - 1 instead of C"),
            "SMOOTHING / z.shape[1]",
        ),
        Wrong(
            "normaliser constant",
            smoothed_from(lambda z, t: -t),
            "detached",
            "The normaliser is treated as a constant: the softmax is missing.",
            ("missing-term", "logsumexp not differentiated", "softmax term missing"),
            "np.log(np.exp(z).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "elementwise softmax",
            smoothed_from(lambda z, t: -t * (1 - softmax(z))),
            "elementwise",
            "The log-softmax is differentiated as if each output depended on its own logit alone.",
            ("diagonal of the Jacobian only", "off-diagonal terms missing", "missing-sum", "missing-term"),
            "log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "mean over all entries",
            smoothed_from(lambda z, t: (softmax(z) - t) / z.shape[1]),
            "factor",
            "The mean is taken over classes as well: a factor 1/C.",
            ("factor 1/4", "mean-for-sum", "divided by the number of entries"),
            ".sum(axis=1).mean()",
        ),
        Wrong(
            "softmax over the batch",
            smoothed_from(lambda z, t: softmax(z, axis=0) - t),
            "wrong-axis",
            "The softmax runs over the batch instead of the classes.",
            ("axis 0 instead of axis 1", "normalised over the wrong axis"),
            "np.exp(z).sum(axis=1, keepdims=True)",
        ),
    ),
)

# --- weighted binary cross-entropy

POSITIVE = np.array([1.0, 0.0, 0.0, 1.0, 1.0])


def weighted_bce(z, w):
    positive = POSITIVE * np.log1p(np.exp(-z))
    negative = (1 - POSITIVE) * np.log1p(np.exp(z))
    return (w * positive + negative).mean()


def weighted_bce_vjp(g, z, w):
    p = sigmoid(z)
    dz = -w * POSITIVE * (1 - p) + (1 - POSITIVE) * p
    return g * dz / z.size, g * POSITIVE * np.log1p(np.exp(-z)) / z.size


def weighted_bce_vjp_one_line(g, z, w):
    dz = np.where(POSITIVE == 1, w * (sigmoid(z) - 1), sigmoid(z))
    return g * dz / len(z), -g * POSITIVE * np.log(sigmoid(z)) / len(z)


def weighted_bce_dz(dz):
    def vjp(g, z, w):
        return g * dz(z, w) / z.size, weighted_bce_vjp(g, z, w)[1]

    return vjp


WEIGHTED_BCE = Function(
    "weighted_bce",
    weighted_bce,
    (draw(11, (5,))[0], np.array([1.5, 0.8, 2.0, 3.0, 0.6])),
    (weighted_bce_vjp, weighted_bce_vjp_one_line),
    (
        Wrong(
            "no weight",
            weighted_bce_dz(lambda z, w: sigmoid(z) - POSITIVE),
            "missing-factor",
            "The weight of the positives is missing from the gradient of the logits.",
            ("w missing", "as for the unweighted loss", "weight forgotten", "factor-in-term"),
            "w * positive + negative",
        ),
        Wrong(
            "weight on both",
            weighted_bce_dz(lambda z, w: w * (sigmoid(z) - POSITIVE)),
            "extra-factor",
            "The weight multiplies the negatives too.",
            ("w on the negative term", "weight on both terms", "wrong for label 0"),
            "w * positive + negative",
        ),
        Wrong(
            "sigmoid on the wrong side",
            weighted_bce_dz(lambda z, w: -w * POSITIVE * sigmoid(z) + (1 - POSITIVE) * sigmoid(z)),
            "wrong-point",
            "The positives' derivative uses sigmoid(z) instead of sigmoid(-z).",
            ("sigmoid(z) instead of 1 - sigmoid(z)", "wrong-derivative", "wrong for label 1"),
            "positive = POSITIVE * np.log1p(np.exp(-z))",
        ),
        Wrong(
            "positives pushed down",
            weighted_bce_dz(lambda z, w: w * POSITIVE * (1 - sigmoid(z)) + (1 - POSITIVE) * sigmoid(z)),
            "sign-in-term",
            "The positives' term has the wrong sign: the inner derivative of -z is forgotten.",
            ("missing-inner-derivative", "sign for label 1", "missing -1"),
            "positive = POSITIVE * np.log1p(np.exp(-z))",
        ),
        Wrong(
            "weights' gradient differentiated",
            lambda g, z, w: (weighted_bce_vjp(g, z, w)[0], -g * POSITIVE * (1 - sigmoid(z)) / z.size),
            "wrong-variable",
            "The weights' gradient is the derivative of the loss term in z instead of the loss term itself.",
            ("second input wrong", "dw should be the loss term", "extra derivative", "extra-factor", "wrong-point"),
            "w * positive + negative",
        ),
        Wrong(
            "weights without mean",
            lambda g, z, w: (weighted_bce_vjp(g, z, w)[0], g * POSITIVE * np.log1p(np.exp(-z))),
            "factor",
            "The weights' gradient lacks the 1/n of the mean.",
            ("sum-for-mean", "factor n", "factor 5", "second input wrong"),
            ".mean()",
        ),
    ),
)

# --- contrastive pairs

SAME = np.array([[1.0], [0.0], [0.0], [1.0], [0.0]])
REACH = 2.5


def contrastive(a, b):
    d = np.sqrt(((a - b) ** 2).sum(axis=1, keepdims=True))
    attract = SAME * d**2
    repel = (1 - SAME) * np.maximum(REACH - d, 0) ** 2
    return (attract + repel).sum() / 2


def contrastive_with(dd, inner=lambda r, d: r / d):
    def vjp(g, a, b):
        r = a - b
        d = np.sqrt((r**2).sum(axis=1, keepdims=True))
        return pair(g * dd(d) * inner(r, d))

    return vjp


def contrastive_dd(d):
    return SAME * d - (1 - SAME) * np.maximum(REACH - d, 0)


def contrastive_vjp(g, a, b):
    r = a - b
    d = np.linalg.norm(r, axis=1, keepdims=True)
    da = g * (SAME - (1 - SAME) * np.maximum(REACH / d - 1, 0)) * r
    return da, -da


CONTRASTIVE = Function(
    "contrastive",
    contrastive,
    draw(12, (5, 2), (5, 2)),
    (contrastive_vjp, contrastive_with(contrastive_dd)),
    (
        Wrong(
            "distance not normalised",
            contrastive_with(contrastive_dd, lambda r, d: r),
            "missing-inner-derivative",
            "The derivative of the distance is taken as a-b instead of (a-b)/d: the 1/d of the square root is missing.",
            ("derivative of sqrt", "missing 1/d", "wrong-power", "wrong-derivative"),
            "d = np.sqrt(((a - b) ** 2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "repulsion attracts",
            contrastive_with(lambda d: SAME * d + (1 - SAME) * np.maximum(REACH - d, 0)),
            "sign-in-term",
            "The repulsion has the wrong sign: the inner derivative -1 of REACH - d is forgotten.",
            ("missing-inner-derivative", "sign of the repel term", "missing -1"),
            "np.maximum(REACH - d, 0) ** 2",
        ),
        Wrong(
            "no half",
            contrastive_with(lambda d: 2 * contrastive_dd(d)),
            "factor",
            "The 1/2 in front of the loss is forgotten.",
            ("factor 2", "factor 1/2"),
            "(attract + repel).sum() / 2",
        ),
        Wrong(
            "repulsion without reach",
            contrastive_with(lambda d: SAME * d - (1 - SAME) * (REACH - d)),
            "mask",
            "Pairs beyond the margin are still moved: the maximum with zero is forgotten.",
            ("forgot the hinge", "derivative of max(0, .)", "wrong where d > margin"),
            "np.maximum(REACH - d, 0)",
        ),
        Wrong(
            "all pairs repelled",
            contrastive_with(lambda d: SAME * d - np.maximum(REACH - d, 0)),
            "mask",
            "The factor 1-SAME is missing: pairs that belong together are repelled too.",
            ("missing-factor", "missing 1 - SAME", "mask of the different pairs forgotten", "extra-term"),
            "repel = (1 - SAME) * np.maximum(REACH - d, 0) ** 2",
        ),
        Wrong(
            "second like first",
            lambda g, a, b: (contrastive_vjp(g, a, b)[0],) * 2,
            "sign",
            "The second input's gradient has the sign of the first's.",
            ("db should be negated", "sign of db", "second input wrong"),
            "a - b",
        ),
    ),
)

FUNCTIONS = (
    HUBER,
    FOCAL,
    MULTI_HINGE,
    TRIPLET,
    INFO_NCE,
    DISTILLATION,
    DICE,
    POISSON,
    QUANTILE,
    SMOOTHED,
    WEIGHTED_BCE,
    CONTRASTIVE,
)
