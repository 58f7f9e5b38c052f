"""Densities, divergences and entropies."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, positive, sigmoid, softmax

# --- Gaussian log density in mean and log variance


def gaussian(x, mu, log_var):
    z2 = (x - mu) ** 2 / np.exp(log_var)
    return -0.5 * (np.log(2 * np.pi) + log_var + z2).sum(axis=1)


def gaussian_vjp(g, x, mu, log_var):
    r, var = x - mu, np.exp(log_var)
    dx = -g[:, None] * r / var
    return dx, -dx.sum(axis=0), (g[:, None] * 0.5 * (r**2 / var - 1)).sum(axis=0)


def gaussian_vjp_normal(g, x, mu, log_var):
    std = np.exp(log_var / 2)
    z = (x - mu) / std
    return -np.outer(g, 1 / std) * z, g @ z / std, g @ (z * z - 1) / 2


def gaussian_with(k, gradient):
    def vjp(g, x, mu, log_var):
        out = list(gaussian_vjp(g, x, mu, log_var))
        out[k] = gradient(g[:, None], x - mu, np.exp(log_var))
        return tuple(out)

    return vjp


GAUSSIAN = Function(
    "gaussian_log_density",
    gaussian,
    draw(1, (4, 3), (3,), (3,), scale=0.8),
    (gaussian_vjp, gaussian_vjp_normal),
    (
        Wrong(
            "mean's sign",
            gaussian_with(1, lambda g, r, v: -(g * r / v).sum(axis=0)),
            "sign",
            "The mean's gradient has the wrong sign.",
            ("dmu has the wrong sign", "second input has the wrong sign", "minus of x - mu"),
            "(x - mu) ** 2",
        ),
        Wrong(
            "deviation for variance",
            gaussian_with(1, lambda g, r, v: (g * r / np.sqrt(v)).sum(axis=0)),
            "wrong-power",
            "The mean's gradient is divided by the standard deviation instead of the variance.",
            ("sqrt of the variance", "std instead of var", "wrong-variable", "dmu wrong"),
            "np.exp(log_var)",
        ),
        Wrong(
            "normaliser forgotten",
            gaussian_with(2, lambda g, r, v: (0.5 * g * r**2 / v).sum(axis=0)),
            "missing-term",
            "The log variance's gradient leaves out the normaliser: the -1 is missing.",
            ("missing -1/2", "log_var term not differentiated", "dlog_var wrong", "third input wrong"),
            "np.log(2 * np.pi) + log_var + z2",
        ),
        Wrong(
            "variance for its logarithm",
            gaussian_with(2, lambda g, r, v: (0.5 * g * (r**2 / v - 1) / v).sum(axis=0)),
            "missing-inner-derivative",
            "The third gradient is that in the variance, not in its logarithm.",
            ("missing factor var", "chain rule of exp", "extra-factor", "extra 1/var", "third input wrong"),
            "np.exp(log_var)",
        ),
        Wrong(
            "log variance without half",
            gaussian_with(2, lambda g, r, v: (g * (r**2 / v - 1)).sum(axis=0)),
            "factor",
            "The 1/2 is missing from the log variance's gradient.",
            ("factor 2", "dlog_var doubled", "gradient in the log deviation", "third input wrong"),
            "-0.5 *",
        ),
        Wrong(
            "mean by a mean",
            gaussian_with(1, lambda g, r, v: (g * r / v).mean(axis=0)),
            "mean-for-sum",
            "The mean's gradient is averaged over the batch instead of summed.",
            ("factor", "factor 1/n", "factor 1/4", "dmu averaged"),
            "(x - mu) ** 2",
        ),
    ),
)

# --- log density of a mixture of unit Gaussians


def mixture(x, means, logits):
    log_weights = logits - np.log(np.exp(logits).sum())
    parts = log_weights - 0.5 * (x[:, None] - means) ** 2
    return np.log(np.exp(parts).sum(axis=1))


def responsibilities(x, means, logits):
    return softmax(logits - 0.5 * (x[:, None] - means) ** 2)


def mixture_vjp(g, x, means, logits):
    r = g[:, None] * responsibilities(x, means, logits)
    d = x[:, None] - means
    return -(r * d).sum(axis=1), (r * d).sum(axis=0), r.sum(axis=0) - g.sum() * softmax(logits)


def mixture_vjp_density(g, x, means, logits):
    w = softmax(logits)
    bells = np.exp(-((x[:, None] - means) ** 2) / 2)
    s = g / (bells @ w)
    dw = s @ bells
    dx = s * (bells @ (w * means) - x * (bells @ w))
    dmeans = w * ((s * x) @ bells - means * (s @ bells))
    return dx, dmeans, w * (dw - w @ dw)


def mixture_from(weights, prior=True):
    def vjp(g, x, means, logits):
        r = g[:, None] * weights(x, means, logits)
        d = x[:, None] - means
        dl = r.sum(axis=0) - (g.sum() * softmax(logits) if prior else 0)
        return -(r * d).sum(axis=1), (r * d).sum(axis=0), dl

    return vjp


MIXTURE = Function(
    "mixture",
    mixture,
    draw(2, (4,), (3,), (3,), scale=1.3),
    (mixture_vjp, mixture_vjp_density),
    (
        Wrong(
            "prior weights",
            mixture_from(lambda x, m, lo: np.broadcast_to(softmax(lo), (len(x), len(m)))),
            "wrong-variable",
            "The prior weights stand where the responsibilities should; the gradient of the logits becomes zero.",
            ("softmax of the logits alone", "data term missing from the softmax", "wrong-point", "prior for posterior"),
            "np.log(np.exp(parts).sum(axis=1))",
        ),
        Wrong(
            "logits not normalised",
            mixture_from(responsibilities, prior=False),
            "missing-term",
            "The normalisation of the mixture weights is not differentiated.",
            ("detached", "missing - softmax(logits)", "log-softmax treated as identity", "third input wrong"),
            "log_weights = logits - np.log(np.exp(logits).sum())",
        ),
        Wrong(
            "responsibilities over the batch",
            mixture_from(lambda x, m, lo: softmax(lo - 0.5 * (x[:, None] - m) ** 2, axis=0)),
            "wrong-axis",
            "The responsibilities are normalised over the batch instead of the components.",
            ("axis 0 instead of axis 1", "softmax over the wrong axis"),
            "np.exp(parts).sum(axis=1)",
        ),
        Wrong(
            "densities not normalised",
            mixture_from(lambda x, m, lo: np.exp(np.log(softmax(lo)) - 0.5 * (x[:, None] - m) ** 2)),
            "missing-inner-derivative",
            "The derivative of the logarithm is missing: the weighted densities are not divided by their sum.",
            ("log not differentiated", "missing 1/sum", "not normalised", "gradient of the density", "missing-factor"),
            "np.log(np.exp(parts).sum(axis=1))",
        ),
        Wrong(
            "means' sign",
            lambda g, x, means, logits: tuple(
                s * d for s, d in zip((1, -1, 1), mixture_vjp(g, x, means, logits), strict=True)
            ),
            "sign",
            "The means' gradient has the wrong sign.",
            ("dmeans has the wrong sign", "second input has the wrong sign", "minus of x - means"),
            "(x[:, None] - means) ** 2",
        ),
        Wrong(
            "nearest component",
            mixture_from(
                lambda x, m, lo: np.eye(len(m))[np.argmax(lo - 0.5 * (x[:, None] - m) ** 2, axis=1)],
            ),
            "mask",
            "Each point is given to its likeliest component alone: the maximum's gradient instead of log-sum-exp's.",
            ("hard assignment", "argmax instead of softmax", "max instead of logsumexp", "wrong-derivative"),
            "np.log(np.exp(parts).sum(axis=1))",
        ),
    ),
)

# --- a Beta-like log density of a logit, without its normaliser


def beta_like(z, a, b):
    p = 1 / (1 + np.exp(-z))
    return ((a - 1) * np.log(p) + (b - 1) * np.log(1 - p)).sum()


def beta_like_vjp(g, z, a, b):
    p = sigmoid(z)
    return g * ((a - 1) * (1 - p) - (b - 1) * p), g * np.log(p).sum(), g * np.log(1 - p).sum()


def beta_like_vjp_steps(g, z, a, b):
    p = sigmoid(z)
    dp = (a - 1) / p - (b - 1) / (1 - p)
    return g * dp * p * (1 - p), -g * np.log1p(np.exp(-z)).sum(), -g * np.log1p(np.exp(z)).sum()


def beta_like_dz(dz):
    def vjp(g, z, a, b):
        return g * dz(sigmoid(z), a, b), *beta_like_vjp(g, z, a, b)[1:]

    return vjp


BETA_LIKE = Function(
    "beta_like",
    beta_like,
    (draw(3, (5,))[0], np.array(2.6), np.array(1.7)),
    (beta_like_vjp, beta_like_vjp_steps),
    (
        Wrong(
            "no sigmoid derivative",
            beta_like_dz(lambda p, a, b: (a - 1) / p - (b - 1) / (1 - p)),
            "missing-inner-derivative",
            "The derivative of the sigmoid is missing: the gradient is that in p.",
            ("missing p (1 - p)", "chain rule", "gradient with respect to p"),
            "p = 1 / (1 + np.exp(-z))",
        ),
        Wrong(
            "second term's sign",
            beta_like_dz(lambda p, a, b: (a - 1) * (1 - p) + (b - 1) * p),
            "sign-in-term",
            "The term of log(1-p) has the wrong sign.",
            ("missing inner derivative -1 of 1 - p", "sign of the b term", "missing-inner-derivative"),
            "(b - 1) * np.log(1 - p)",
        ),
        Wrong(
            "exponents not lowered",
            beta_like_dz(lambda p, a, b: a * (1 - p) - b * p),
            "wrong-constant",
            "The exponents are a and b instead of a-1 and b-1.",
            ("off by one in the exponent", "missing -1", "a instead of a - 1"),
            "(a - 1) * np.log(p)",
        ),
        Wrong(
            "p and its complement exchanged",
            beta_like_dz(lambda p, a, b: (a - 1) * p - (b - 1) * (1 - p)),
            "swapped",
            "p and 1-p are exchanged in the derivative.",
            ("wrong-variable", "complement", "p instead of 1 - p"),
            "np.log(p)",
        ),
        Wrong(
            "parameters exchanged",
            lambda g, z, a, b: tuple(beta_like_vjp(g, z, a, b)[k] for k in (0, 2, 1)),
            "swapped",
            "The gradients of a and b are exchanged.",
            ("da and db in the wrong order", "second and third gradient swapped"),
        ),
        Wrong(
            "parameter by a mean",
            lambda g, z, a, b: (
                beta_like_vjp(g, z, a, b)[0],
                beta_like_vjp(g, z, a, b)[1] / z.size,
                beta_like_vjp(g, z, a, b)[2],
            ),
            "mean-for-sum",
            "The gradient of a is a mean over the entries instead of a sum.",
            ("factor", "factor 1/n", "factor 1/5", "da averaged"),
            ".sum()",
        ),
    ),
)

# --- divergence of two Gaussians


def gaussian_kl(m1, s1, m2, s2):
    ratio = (s1**2 + (m1 - m2) ** 2) / (2 * s2**2)
    return (np.log(s2 / s1) + ratio - 0.5).sum()


def gaussian_kl_vjp(g, m1, s1, m2, s2):
    d = m1 - m2
    return (
        g * d / s2**2,
        g * (s1 / s2**2 - 1 / s1),
        -g * d / s2**2,
        g * (1 / s2 - (s1**2 + d**2) / s2**3),
    )


def gaussian_kl_vjp_steps(g, m1, s1, m2, s2):
    w = g / (2 * s2**2)
    square = s1**2 + (m1 - m2) ** 2
    dm = 2 * w * (m1 - m2)
    return dm, 2 * w * s1 - g / s1, -dm, g / s2 - 2 * square * w / s2


def gaussian_kl_with(k, gradient):
    def vjp(g, m1, s1, m2, s2):
        out = list(gaussian_kl_vjp(g, m1, s1, m2, s2))
        out[k] = g * gradient(m1 - m2, s1, s2)
        return tuple(out)

    return vjp


GAUSSIAN_KL = Function(
    "gaussian_kl",
    gaussian_kl,
    (draw(4, (3,))[0], positive(4, (3,))[0], draw(5, (3,))[0], positive(5, (3,))[0]),
    (gaussian_kl_vjp, gaussian_kl_vjp_steps),
    (
        Wrong(
            "half left",
            gaussian_kl_with(0, lambda d, s1, s2: d / (2 * s2**2)),
            "factor",
            "The 2 of the square is missing from the first mean's gradient.",
            ("factor 2", "factor 1/2", "dm1 halved", "first input wrong"),
            "(m1 - m2) ** 2",
        ),
        Wrong(
            "second mean's sign",
            gaussian_kl_with(2, lambda d, s1, s2: d / s2**2),
            "sign",
            "The second mean's gradient has the wrong sign.",
            ("dm2 has the wrong sign", "third input has the wrong sign", "minus of m1 - m2"),
            "(m1 - m2) ** 2",
        ),
        Wrong(
            "first deviation without its logarithm",
            gaussian_kl_with(1, lambda d, s1, s2: s1 / s2**2),
            "missing-term",
            "The first deviation's gradient leaves out the logarithm.",
            ("missing -1/s1", "log not differentiated in s1", "ds1 wrong", "second input wrong"),
            "np.log(s2 / s1)",
        ),
        Wrong(
            "logarithm's sign",
            gaussian_kl_with(1, lambda d, s1, s2: s1 / s2**2 + 1 / s1),
            "sign-in-term",
            "The logarithm's term has the wrong sign in the first deviation's gradient.",
            ("sign of -1/s1", "log(s2/s1) inverted", "ds1 wrong", "second input wrong"),
            "np.log(s2 / s1)",
        ),
        Wrong(
            "second deviation without the means",
            gaussian_kl_with(3, lambda d, s1, s2: 1 / s2 - s1**2 / s2**3),
            "missing-term",
            "The second deviation's gradient leaves out the distance of the means.",
            ("missing (m1 - m2)**2", "ds2 wrong", "fourth input wrong", "only-part"),
            "s1**2 + (m1 - m2) ** 2",
        ),
        Wrong(
            "second deviation squared",
            gaussian_kl_with(3, lambda d, s1, s2: 1 / s2 - (s1**2 + d**2) / s2**2),
            "wrong-power",
            "The second deviation's exponent is 2 instead of 3 in the ratio's term.",
            ("power rule", "s2**2 instead of s2**3", "ds2 wrong", "fourth input wrong", "derivative of s2**-2"),
            "(2 * s2**2)",
        ),
    ),
)

# --- a sample by the reparametrisation, squared

NOISE = draw(99, (4, 3))[0]


def reparametrised(mu, rho):
    sigma = np.log1p(np.exp(rho))
    sample = mu + sigma * NOISE
    return (sample**2).mean(axis=0)


def reparametrised_vjp(g, mu, rho):
    sample = mu + np.log1p(np.exp(rho)) * NOISE
    d = 2 * g * sample / len(NOISE)
    return d.sum(axis=0), (d * NOISE).sum(axis=0) * sigmoid(rho)


def reparametrised_vjp_moments(g, mu, rho):
    first, second = NOISE.mean(axis=0), (NOISE**2).mean(axis=0)
    sigma = np.log1p(np.exp(rho))
    return 2 * g * (mu + sigma * first), 2 * g * (mu * first + sigma * second) / (1 + np.exp(-rho))


def reparametrised_with(dmu=None, drho=None):
    def vjp(g, mu, rho):
        sample = mu + np.log1p(np.exp(rho)) * NOISE
        d = 2 * g * sample / len(NOISE)
        right = reparametrised_vjp(g, mu, rho)
        return dmu(d, mu, g) if dmu else right[0], drho(d, rho) if drho else right[1]

    return vjp


REPARAMETRISED = Function(
    "reparametrised",
    reparametrised,
    draw(6, (3,), (3,)),
    (reparametrised_vjp, reparametrised_vjp_moments),
    (
        Wrong(
            "no softplus derivative",
            reparametrised_with(drho=lambda d, rho: (d * NOISE).sum(axis=0)),
            "missing-inner-derivative",
            "The derivative of the softplus is missing: the gradient is that in sigma.",
            ("missing sigmoid(rho)", "chain rule", "gradient with respect to sigma", "second input wrong"),
            "sigma = np.log1p(np.exp(rho))",
        ),
        Wrong(
            "noise forgotten",
            reparametrised_with(drho=lambda d, rho: d.sum(axis=0) * sigmoid(rho)),
            "missing-factor",
            "The noise is missing from the gradient of rho.",
            ("missing NOISE", "missing-inner-derivative", "second input wrong", "derivative of sigma * noise"),
            "sample = mu + sigma * NOISE",
        ),
        Wrong(
            "exponential for softplus",
            reparametrised_with(drho=lambda d, rho: (d * NOISE).sum(axis=0) * np.exp(rho)),
            "wrong-derivative",
            "The derivative of the softplus is taken as exp(rho).",
            ("exp instead of sigmoid", "missing 1/(1 + exp(rho))", "derivative of log1p", "second input wrong"),
            "sigma = np.log1p(np.exp(rho))",
        ),
        Wrong(
            "mean of the distribution",
            reparametrised_with(dmu=lambda d, mu, g: 2 * g * mu),
            "wrong-variable",
            "The gradient of mu uses mu instead of the sample.",
            ("sample's noise forgotten", "mu instead of sample", "missing-term", "first input wrong"),
            "(sample**2).mean(axis=0)",
        ),
        Wrong(
            "no mean",
            lambda g, mu, rho: tuple(len(NOISE) * d for d in reparametrised_vjp(g, mu, rho)),
            "factor",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor n", "factor 4"),
            ".mean(axis=0)",
        ),
        Wrong(
            "softplus derivative at sigma",
            reparametrised_with(
                drho=lambda d, rho: (d * NOISE).sum(axis=0) * sigmoid(np.log1p(np.exp(rho))),
            ),
            "wrong-point",
            "The derivative of the softplus is taken at sigma instead of rho.",
            ("sigmoid(sigma) instead of sigmoid(rho)", "wrong-variable", "output instead of input"),
            "sigma = np.log1p(np.exp(rho))",
        ),
    ),
)

# --- entropy of a softmax


def entropy(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -(p * np.log(p)).sum(axis=1)


def entropy_vjp(g, z):
    p = softmax(z)
    h = entropy(z)
    return -g[:, None] * p * (np.log(p) + h[:, None])


def entropy_vjp_steps(g, z):
    p = softmax(z)
    dp = -g[:, None] * (np.log(p) + 1)
    return p * (dp - (p * dp).sum(axis=1, keepdims=True))


def entropy_from(dz):
    def vjp(g, z):
        p = softmax(z)
        return -g[:, None] * dz(p, np.log(p), entropy(z)[:, None])

    return vjp


ENTROPY = Function(
    "entropy",
    entropy,
    draw(7, (3, 4)),
    (entropy_vjp, entropy_vjp_steps),
    (
        Wrong(
            "gradient in p",
            entropy_from(lambda p, lp, h: lp + 1),
            "missing-inner-derivative",
            "The softmax is not differentiated: the gradient is that in p.",
            ("softmax Jacobian missing", "gradient with respect to p", "chain rule"),
            "p = e / e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "elementwise softmax",
            entropy_from(lambda p, lp, h: (lp + 1) * p * (1 - p)),
            "elementwise",
            "The softmax is differentiated elementwise.",
            ("diagonal of the Jacobian only", "off-diagonal terms missing", "missing-term"),
            "p = e / e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "normaliser constant",
            entropy_from(lambda p, lp, h: p * (lp + 1)),
            "detached",
            "The normaliser of the softmax is treated as a constant.",
            ("missing-term", "row sum not subtracted", "elementwise"),
            "e.sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "one left over",
            entropy_from(lambda p, lp, h: p * (lp + 1 + h)),
            "extra-term",
            "A 1 is left over in the bracket, which the normaliser's term should have cancelled.",
            ("extra + 1", "wrong-constant", "constant not cancelled", "extra p"),
            "-(p * np.log(p))",
        ),
        Wrong(
            "entropy subtracted",
            entropy_from(lambda p, lp, h: p * (lp - h)),
            "sign-in-term",
            "The entropy is subtracted in the bracket where it should be added.",
            ("sign of h", "sign of the normaliser term"),
            "-(p * np.log(p))",
        ),
        Wrong(
            "minus forgotten",
            lambda g, z: -entropy_vjp(g, z),
            "sign",
            "The minus of the entropy is forgotten.",
            ("sign", "wrong sign"),
            "-(p * np.log(p)).sum(axis=1)",
        ),
    ),
)

# --- negative log likelihood of Student's t, up to a constant

NU = 4.0


def student(x, mu, log_s):
    z = (x - mu) / np.exp(log_s)
    return (log_s + 0.5 * (NU + 1) * np.log(1 + z**2 / NU)).mean()


def student_vjp(g, x, mu, log_s):
    s = np.exp(log_s)
    z = (x - mu) / s
    dz = g * (NU + 1) * z / (NU + z**2) / x.size
    return dz / s, -dz.sum() / s, g - (dz * z).sum()


def student_vjp_residual(g, x, mu, log_s):
    r, s2 = x - mu, np.exp(2 * log_s)
    w = (NU + 1) / (NU * s2 + r**2)
    return g * w * r / r.size, -g * np.mean(w * r), g * (1 - np.mean(w * r**2))


def student_dz(dz):
    def vjp(g, x, mu, log_s):
        s = np.exp(log_s)
        z = (x - mu) / s
        d = g * dz(z) / x.size
        return d / s, -d.sum() / s, g - (d * z).sum()

    return vjp


STUDENT = Function(
    "student_t",
    student,
    (draw(8, (5,))[0], np.array(0.3), np.array(-0.4)),
    (student_vjp, student_vjp_residual),
    (
        Wrong(
            "logarithm not differentiated",
            student_dz(lambda z: (NU + 1) * z / NU),
            "missing-inner-derivative",
            "The logarithm is not differentiated: the residuals are not damped.",
            ("missing 1/(1 + z**2/nu)", "as for a Gaussian", "missing-factor", "chain rule"),
            "np.log(1 + z**2 / NU)",
        ),
        Wrong(
            "half left",
            student_dz(lambda z: 0.5 * (NU + 1) * z / (NU + z**2)),
            "factor",
            "The 2 of the square is missing: the 1/2 is left.",
            ("factor 2", "factor 1/2", "forgotten factor 2"),
            "z**2 / NU",
        ),
        Wrong(
            "scale without its logarithm",
            lambda g, x, mu, log_s: (
                *student_vjp(g, x, mu, log_s)[:2],
                student_vjp(g, x, mu, log_s)[2] - g,
            ),
            "missing-term",
            "The scale's gradient leaves out the term log_s in front.",
            ("missing +1", "log_s not differentiated", "third input wrong", "only-part"),
            "log_s + 0.5 * (NU + 1)",
        ),
        Wrong(
            "location's sign",
            lambda g, x, mu, log_s: (
                student_vjp(g, x, mu, log_s)[0],
                -student_vjp(g, x, mu, log_s)[1],
                student_vjp(g, x, mu, log_s)[2],
            ),
            "sign",
            "The location's gradient has the wrong sign.",
            ("dmu has the wrong sign", "second input has the wrong sign", "minus of x - mu"),
            "(x - mu)",
        ),
        Wrong(
            "not divided by the scale",
            lambda g, x, mu, log_s: (
                *(d * np.exp(log_s) for d in student_vjp(g, x, mu, log_s)[:2]),
                student_vjp(g, x, mu, log_s)[2],
            ),
            "missing-inner-derivative",
            "The inner derivative 1/scale is missing from the gradients of x and mu.",
            ("missing 1/s", "factor", "missing-factor", "chain rule"),
            "z = (x - mu) / np.exp(log_s)",
        ),
        Wrong(
            "residual's sign in the scale",
            lambda g, x, mu, log_s: (
                *student_vjp(g, x, mu, log_s)[:2],
                2 * g - student_vjp(g, x, mu, log_s)[2],
            ),
            "sign-in-term",
            "In the scale's gradient the residuals' term has the wrong sign.",
            ("derivative of 1/s", "sign of the second term", "third input wrong"),
            "/ np.exp(log_s)",
        ),
    ),
)

# --- von Mises, without its normaliser


def von_mises(angle, centre, kappa):
    return (kappa * np.cos(angle - centre)).sum(axis=1)


def von_mises_vjp(g, angle, centre, kappa):
    d = angle - centre
    da = -g[:, None] * kappa * np.sin(d)
    return da, -da.sum(axis=0), (g[:, None] * np.cos(d)).sum(axis=0)


def von_mises_vjp_sums(g, angle, centre, kappa):
    c, s = np.cos(angle), np.sin(angle)
    cc, sc = np.cos(centre), np.sin(centre)
    da = np.outer(g, kappa) * (c * sc - s * cc)
    return da, kappa * (g @ s * cc - g @ c * sc), g @ c * cc + g @ s * sc


VON_MISES = Function(
    "von_mises",
    von_mises,
    draw(9, (4, 3), (3,), (3,)),
    (von_mises_vjp, von_mises_vjp_sums),
    (
        Wrong(
            "cosine without its minus",
            lambda g, a, c, k: tuple(s * d for s, d in zip((-1, -1, 1), von_mises_vjp(g, a, c, k), strict=True)),
            "sign",
            "The minus of the cosine's derivative is forgotten, for angle and centre.",
            ("derivative of cos", "sign", "wrong-derivative"),
            "np.cos(angle - centre)",
        ),
        Wrong(
            "centre like angle",
            lambda g, a, c, k: tuple(s * d for s, d in zip((1, -1, 1), von_mises_vjp(g, a, c, k), strict=True)),
            "sign",
            "The centre's gradient has the sign of the angle's.",
            ("dcentre has the wrong sign", "second input has the wrong sign", "minus of angle - centre"),
            "angle - centre",
        ),
        Wrong(
            "cosine kept",
            lambda g, a, c, k: (
                -g[:, None] * k * np.cos(a - c),
                (g[:, None] * k * np.cos(a - c)).sum(axis=0),
                von_mises_vjp(g, a, c, k)[2],
            ),
            "wrong-derivative",
            "The derivative of cos is taken as -cos instead of -sin.",
            ("cos instead of sin", "derivative of cos"),
            "np.cos(angle - centre)",
        ),
        Wrong(
            "no concentration",
            lambda g, a, c, k: (
                -g[:, None] * np.sin(a - c),
                (g[:, None] * np.sin(a - c)).sum(axis=0),
                von_mises_vjp(g, a, c, k)[2],
            ),
            "missing-factor",
            "The concentration is missing from the gradients of angle and centre.",
            ("missing kappa", "product rule"),
            "kappa * np.cos(angle - centre)",
        ),
        Wrong(
            "concentration not summed",
            lambda g, a, c, k: (*von_mises_vjp(g, a, c, k)[:2], g[:, None] * np.cos(a - c)),
            "missing-sum",
            "The concentration's gradient is not summed over the batch.",
            ("wrong shape", "broadcast axis not summed", "third input wrong"),
            "kappa * np.cos(angle - centre)",
        ),
        Wrong(
            "concentration by the sine",
            lambda g, a, c, k: (*von_mises_vjp(g, a, c, k)[:2], -(g[:, None] * np.sin(a - c)).sum(axis=0)),
            "extra-factor",
            "The concentration's gradient has the cosine differentiated, although only kappa is varied.",
            ("wrong-derivative", "sin instead of cos", "extra derivative", "third input wrong", "wrong-variable"),
            "kappa * np.cos(angle - centre)",
        ),
    ),
)

FUNCTIONS = (
    GAUSSIAN,
    MIXTURE,
    BETA_LIKE,
    GAUSSIAN_KL,
    REPARAMETRISED,
    ENTROPY,
    STUDENT,
    VON_MISES,
)
