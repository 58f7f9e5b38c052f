# %% [markdown]
# # 3 Double backprop, step by step
#
# **After this lesson you can**
#
# * say why a network of straight pieces still has a second derivative that matters;
# * follow one number through four lanes: forward, backward, and back through both;
# * write the double backward of ReLU, of a linear layer and of the sigmoid, and have it checked;
# * find the two mistakes that spoil second derivatives silently.
#
# You need: the chain rule, and the word *cotangent*: how fast the final number changes when this variable changes. The
# lesson takes about 45 minutes. Where you see **Predict**, write your number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.lessons import Lesson, picture

lesson = Lesson("03_double")

# %% [markdown]
# ## A number to start with
#
# Take the smallest network with ReLU: $z = w_2 \, \mathrm{relu}(w_1 x)$ with $w_1 = 2$ and $w_2 = -3$. For $x > 0$ it is
# the straight line $z = -6x$. For $x < 0$ it is 0. A straight line has no curvature: $\partial^2 z / \partial x^2 = 0$
# on both sides.
#
# We want a network that reacts weakly to small changes of $x$. So we punish the slope:
#
# $$P = \tfrac12 \left( \frac{\partial z}{\partial x} \right)^2 \tag{1}$$
#
# and we train the weights to make $P$ small. For that we need $\partial P / \partial w_1$ and $\partial P / \partial w_2$.
# $P$ contains a derivative already, so these are second derivatives. **Predict:** the curvature is zero. Are they zero?


# %%
def net(w1, w2, x):
    return w2 * tg.relu(w1 * x)


def slope_penalty(w1, w2, x):
    slope = tg.grad(lambda x: net(w1, w2, x))(x)  # a gradient inside the function
    return 0.5 * slope**2


print(tg.grad(slope_penalty, (0, 1))(2.0, -3.0, 0.5))  # and a gradient of the whole

# %% [markdown]
# $(18, -12)$. Not zero. The slope is $w_1 w_2$, and it depends on the weights, although it does not depend on $x$. What
# we need is not the curvature in $x$. It is the *mixed* derivative: how the weights change the slope.
#
# ### Exercise 1: by hand
#
# For $x > 0$ the penalty is $P = \frac12 (w_1 w_2)^2$. Write its backward rule. $g$ is the cotangent of $P$.


# %% tags=["exercise"]
@tg.derivation(of=lambda w1, w2: 0.5 * (w1 * w2) ** 2, axes="n, n")
def penalty(g, w1, w2):
    """g, w1, w2: (n,). Return the cotangents of w1 and of w2."""
    raise NotImplementedError


lesson.check(penalty)

# %% [markdown] tags=["hint"]
# Let $s = w_1 w_2$. Then $P = s^2/2$, and the cotangent of $s$ is $g s$.

# %% [markdown] tags=["hint"]
# $s$ is a product: $w_1$ gets $g s \cdot w_2$. For $w_1 = 2$, $w_2 = -3$, $g = 1$ this is $-6 \cdot -3 = 18$.


# %% tags=["solution"]
@tg.derivation(of=lambda w1, w2: 0.5 * (w1 * w2) ** 2, axes="n, n")
def penalty(g, w1, w2):
    """g, w1, w2: (n,). Return the cotangents of w1 and of w2."""
    s = w1 * w2
    return g * s * w2, g * s * w1


lesson.check(penalty)

# %% [markdown]
# ## Four lanes
#
# In 1991 Harris Drucker and Yann LeCun punished the slope of the *loss*. We follow their idea with numbers. The network
# now has a bias, and a target $t$:
#
# $$a = w_1 x + b, \qquad h = \mathrm{relu}(a), \qquad z = w_2 h, \qquad E = \tfrac12 (z - t)^2 \tag{2}$$
#
# with $w_1 = 2$, $w_2 = -3$, $x = 0.5$, $b = 0.25$, $t = 1$.
#
# **Lane 1, forward.** $a = 1.25$, $h = 1.25$, $z = -3.75$. The error is $z - t = -4.75$.
#
# **Lane 2, backward.** From right to left, each cotangent under its variable:
# $\bar z = z - t = -4.75$, then $\bar h = w_2 \bar z = 14.25$, then $\bar a = 14.25$ (the unit is on), then
# $\bar x = w_1 \bar a = 28.5$. So $\partial E/\partial x = 28.5$, and the penalty is
#
# $$P = \tfrac12 \bar x^2 = 406.125. \tag{3}$$
#
# Now look at lanes 1 and 2 together as *one* computation with the result $P$. It goes forward through lane 1, and on
# through lane 2. To find $\partial P / \partial w_1$, go back through all of it: first back through lane 2, then back
# through lane 1. These are lanes 3 and 4.
#
# **Lane 3, back through lane 2.** It runs in the opposite direction of lane 2, from left to right. A double bar means:
# the cotangent of a cotangent. $\bar{\bar x} = \bar x = 28.5$ (the slope of $\frac12 \bar x^2$). From $\bar x = w_1 \bar a$:
# $\bar{\bar a} = w_1 \bar{\bar x} = 57$. The unit is on: $\bar{\bar h} = 57$. From $\bar h = w_2 \bar z$:
# $\bar{\bar z} = w_2 \bar{\bar h} = -171$.
#
# **Lane 4, back through lane 1.** How does lane 2 hang on lane 1? Through $\bar z = z - t$. So $z$ gets $-171$. Then, as
# in any backward pass, $h$ gets $w_2 \cdot (-171) = 513$, $a$ gets 513, and $x$ gets $w_1 \cdot 513 = 1026$.

# %% tags=["picture"]
lanes = [
    ("1 forward", ["x\n0.5", "a\n1.25", "h\n1.25", "z\n−3.75"], "tab:blue"),
    ("2 backward", ["x̄\n28.5", "ā\n14.25", "h̄\n14.25", "z̄\n−4.75"], "tab:red"),
    ("3 back through 2", ["28.5", "57", "57", "−171"], "tab:green"),
    ("4 back through 1", ["1026", "513", "513", "−171"], "tab:purple"),
]
figure, axes = plt.subplots(figsize=(9, 5.2))
for row, (name, texts, colour) in enumerate(lanes):
    axes.text(-0.85, -row, name, ha="right", va="center", color=colour)
    for column, text in enumerate(texts):
        box = {"boxstyle": "round", "fc": "white", "ec": colour}
        axes.text(column * 1.5, -row, text, ha="center", va="center", bbox=box)
    for column in range(3):
        begin, end = column * 1.5 + 0.42, column * 1.5 + 1.08
        if row % 2:
            begin, end = end, begin
        axes.annotate("", (end, -row), (begin, -row), arrowprops={"arrowstyle": "->", "color": colour})
for column, label in enumerate(["× w₁, + b", "relu", "× w₂"]):
    axes.text(column * 1.5 + 0.75, 0.35, label, ha="center", fontsize=9)
turns = [(4.5, 0, 4.5, -1, "z̄ = z − t"), (0, -1, 0, -2, "P = ½ x̄²"), (4.5, -2, 4.5, -3, "z̄ = z − t")]
for x1, y1, x2, y2, label in turns:
    axes.annotate("", (x2, y2 + 0.28), (x1, y1 - 0.28), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes.text(x1 + 0.12, (y1 + y2) / 2, label, va="center", fontsize=9)
axes.set(xlim=(-2.6, 5.9), ylim=(-3.5, 0.7))
axes.axis("off")
picture(
    figure,
    "Four rows, one per lane, with each cotangent under its variable. Forward: x 0.5, a 1.25, h 1.25, z -3.75. Backward, "
    "from right to left: -4.75, 14.25, 14.25, 28.5. Back through lane 2, from left to right: 28.5, 57, 57, -171. Back "
    "through lane 1, from right to left: -171, 513, 513, 1026.",
)

# %% [markdown]
# Now collect what arrives at the weights. A weight gets a contribution from each place where it is used. $w_1$ is used
# **twice**: in lane 1 ($a = w_1 x + b$) and in lane 2 ($\bar x = w_1 \bar a$). Each place brings the cotangent of the
# result, times the other factor:
#
# $$\frac{\partial P}{\partial w_1} = \underbrace{\bar{\bar x} \cdot \bar a}_{\text{used in lane 2}}
# + \underbrace{513 \cdot x}_{\text{used in lane 1}} = 28.5 \cdot 14.25 + 513 \cdot 0.5 = 406.125 + 256.5 = 662.625 \tag{4}$$
#
# In words: *the weight counts once for turning cotangents into cotangents, and once for making the error that the
# cotangents started with.* (That 406.125 is also $P$ is an accident of $w_1 = 2$.)
#
# **Predict** in the same way $\partial P / \partial w_2$. It is used in lane 1 ($z = w_2 h$), where $z$ has received
# $-171$, and in lane 2 ($\bar h = w_2 \bar z$), where $\bar h$ has received 57.

# %% [markdown] tags=["answer"]
# $-171 \cdot 1.25 + 57 \cdot (-4.75) = -213.75 - 270.75 = -484.5$.

# %% [markdown]
# The tape does all four lanes. `tg.grad` inside the function records lanes 1 and 2; the outer `tg.grad` goes back through
# both:


# %%
def error(w1, w2, x, b):
    return w2 * tg.relu(w1 * x + b) - 1.0


def drucker_lecun(w1, w2, x, b):
    slope = tg.grad(lambda x: 0.5 * error(w1, w2, x, b) ** 2)(x)
    return 0.5 * slope**2


print("P:", drucker_lecun(2.0, -3.0, 0.5, 0.25))
for name, value in zip(["w1", "w2", "x", "b"], tg.grad(drucker_lecun, (0, 1, 2, 3))(2.0, -3.0, 0.5, 0.25), strict=True):
    print(f"∂P/∂{name}: {value.item()}")

# %% [markdown]
# ### Exercise 2: Drucker and LeCun's penalty
#
# Below, `slope` is $\bar x$ as a formula, for many samples at once: each of the five inputs has the shape $(n,)$. Return
# the cotangent of `w1` only. Both parts of (4) must be in it.


# %% tags=["setup"]
def half_square_of_slope(w1, w2, x, b, t):
    """P of each sample. All inputs and the result: (n,)."""
    a = w1 * x + b
    on = a > 0
    e = w2 * np.maximum(a, 0) - t
    slope = e * w2 * on * w1
    return 0.5 * slope**2


# %% tags=["exercise"]
@tg.derivation(of=half_square_of_slope, axes="n, n, n, n, n", wrt="w1")
def weight_of_penalty(g, w1, w2, x, b, t):
    """All inputs: (n,). Return the cotangent of w1, of shape (n,)."""
    raise NotImplementedError


lesson.check(weight_of_penalty)

# %% [markdown] tags=["hint"]
# Write $s$ for the slope, $s = e \, w_2 \, w_1$ where the unit is on. The cotangent of $s$ is $g s$.

# %% [markdown] tags=["hint"]
# $w_1$ stands in $s$ itself: this brings $g s \cdot e \, w_2$. And $e$ depends on $w_1$, with the slope $w_2 x$.

# %% [markdown] tags=["hint"]
# With `on` the mask: `return g * s * on * (e * w2 + w2 * w1 * w2 * x)`. Compute `a`, `on`, `e`, `s` as above first.


# %% tags=["solution"]
@tg.derivation(of=half_square_of_slope, axes="n, n, n, n, n", wrt="w1")
def weight_of_penalty(g, w1, w2, x, b, t):
    """All inputs: (n,). Return the cotangent of w1, of shape (n,)."""
    a = w1 * x + b
    on = a > 0
    e = w2 * np.maximum(a, 0) - t
    s = e * w2 * on * w1
    return g * s * on * (e * w2 + w1 * w2 * w2 * x)


lesson.check(weight_of_penalty)

# %% [markdown]
# ## The same with a reverse network
#
# In tinygrad2 the backward pass is a network that you can call: `rev`. Its weights *are* the weights of the forward
# network. So when you call `backward()` on something that `rev` has computed, the weights get both parts of (4).

# %%
small = nn.Sequential(first=nn.Linear(1, 1), relu=nn.ReLU(), second=nn.Linear(1, 1, bias=False)).astype(np.float64)
small.load_state_dict({"first.weight": [[2.0]], "first.bias": [0.25], "second.weight": [[-3.0]]})
trace = small.trace(np.array([[0.5]]))
rev = trace.reverse()
slope = rev(trace.output - 1.0)  # lane 2, started with z - t
(0.5 * slope**2).sum().backward()  # lanes 3 and 4
for name, parameter in small.named_parameters():
    print(name, parameter.grad.numpy().ravel())

# %% [markdown]
# The same three numbers as above. **Predict:** suppose that the error were a constant, `trace.output.detach() - 1.0`.
# Which of the numbers change, and to what?

# %%
small.zero_grad()
slope = rev(trace.output.detach() - 1.0)
(0.5 * slope**2).sum().backward()
for name, parameter in small.named_parameters():
    print(name, parameter.grad.numpy().ravel())

# %% [markdown]
# Lane 4 is gone. What is left is lane 3: $w_1$ gets 406.125, and $w_2$ gets $57 \cdot (-4.75) = -270.75$. The bias gets
# nothing, since it is used in lane 1 only. This is the most frequent mistake with such penalties.

# %% [markdown]
# ## A backward rule is a function, too
#
# For a whole library one does not draw lanes. One asks for each layer: *what is the backward rule of its backward rule?*
#
# Take ReLU. Its backward rule is $r(x, g) = m \odot g$ with the mask $m = [x > 0]$. It is a function of two inputs, $x$
# and $g$. So it has a backward rule itself. The cotangent of its result is called $u$. It returns two cotangents, one for
# $x$ and one for $g$. In general, with $J$ the Jacobian of the layer:
#
# $$r(x, g) = J(x)^\mathsf{T} g, \qquad \bar g = J(x)\, u, \qquad
# \bar x = \frac{\partial}{\partial x} \langle u, J(x)^\mathsf{T} g \rangle \tag{5}$$
#
# In words: *the cotangent of $g$ is $u$ pushed forward through the layer; the cotangent of $x$ says how the Jacobian
# itself changes with $x$.*
#
# **Predict** for ReLU: which of $\bar x$ and $\bar g$ is zero?
#
# ### Exercise 3: ReLU, twice


# %% tags=["exercise"]
@tg.derivation(of="relu.double")
def relu_double(g, u, x):
    """g, u, x: (n, d). First order: dx = g where x > 0, else 0. Return the cotangents of x and of g."""
    raise NotImplementedError


lesson.check(relu_double)

# %% [markdown] tags=["hint"]
# The mask is made of constant pieces. What is its slope in $x$, away from 0?

# %% [markdown] tags=["hint"]
# $m \odot g$ is linear in $g$. So $\bar g = m \odot u$: the mask comes from $x$, as always.


# %% tags=["solution"]
@tg.derivation(of="relu.double")
def relu_double(g, u, x):
    """g, u, x: (n, d). First order: dx = g where x > 0, else 0. Return the cotangents of x and of g."""
    return np.zeros_like(x), u * (x > 0)


lesson.check(relu_double)

# %% [markdown]
# Here is the point of the first section again. $\bar x = 0$: ReLU has no curvature. But $\bar g$ is not 0, and through
# $\bar g$ the weights are reached.
#
# ### Exercise 4: the linear layer, twice
#
# $y = x w^\mathsf{T} + b$. First order gives three results: $\mathrm dx = g w$, $\mathrm dw = g^\mathsf{T} x$,
# $\mathrm db = \sum_n g_n$. So there are three cotangents, $u = (u_x, u_w, u_b)$. Return the cotangents of $x$, $w$, $b$
# and $g$. A good way to begin is to write down the number
#
# $$\langle u_x, g w \rangle + \langle u_w, g^\mathsf{T} x \rangle + \langle u_b, \textstyle\sum_n g_n \rangle. \tag{6}$$
#
# It is linear in each letter. The cotangent of a letter is whatever stands beside it.


# %% tags=["exercise"]
@tg.derivation(of="linear.double")
def linear_double(g, u, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,); u: (ux, uw, ub) of the shapes of x, w, b. Return dx, dw, db, dg."""
    raise NotImplementedError


lesson.check(linear_double)

# %% [markdown] tags=["hint"]
# Where does $x$ occur in (6)? Only in the second term. Beside it stand $g$ and $u_w$, and the result has the shape
# $(n, i)$.

# %% [markdown] tags=["hint"]
# $b$ does not occur in (6) at all. Its cotangent is zeros of its shape. $g$ occurs in all three terms.

# %% [markdown] tags=["hint"]
# `ux, uw, ub = u`, then `return g @ uw, g.T @ ux, np.zeros_like(b), ...`. The last one, $J u$, is a sum of three terms
# of shape $(n, o)$; `ub` is added to every row.


# %% tags=["solution"]
@tg.derivation(of="linear.double")
def linear_double(g, u, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,); u: (ux, uw, ub) of the shapes of x, w, b. Return dx, dw, db, dg."""
    ux, uw, ub = u
    return g @ uw, g.T @ ux, np.zeros_like(b), ux @ w.T + x @ uw.T + ub


lesson.check(linear_double)

# %% [markdown]
# ### Exercise 5: the sigmoid, twice
#
# $y = 1/(1 + e^{-x})$ has the slope $y (1 - y)$. It is curved, so now $\bar x$ is not zero. Two slopes are needed: that of
# $y$, and that of $y(1-y)$.


# %% tags=["exercise"]
@tg.derivation(of="sigmoid.double")
def sigmoid_double(g, u, x):
    """g, u, x: (n, d). First order: dx = g y(1 - y). Return the cotangents of x and of g."""
    raise NotImplementedError


lesson.check(sigmoid_double)

# %% [markdown] tags=["hint"]
# $\bar g = u \cdot y (1 - y)$. For $\bar x$: differentiate $u \, g \, y(1-y)$ by $x$.

# %% [markdown] tags=["hint"]
# $(y - y^2)' = (1 - 2y) \, y'$, and $y' = y (1 - y)$.


# %% tags=["solution"]
@tg.derivation(of="sigmoid.double")
def sigmoid_double(g, u, x):
    """g, u, x: (n, d). First order: dx = g y(1 - y). Return the cotangents of x and of g."""
    y = 1 / (1 + np.exp(-x))
    slope = y * (1 - y)
    return g * u * slope * (1 - 2 * y), u * slope


lesson.check(sigmoid_double)

# %% [markdown]
# ### Exercise 6, if you like: the loss, twice
#
# Cross-entropy over a batch of $n$: the first order is $\mathrm dz = g \, (p - \mathrm{onehot})/n$ with
# $p = \mathrm{softmax}(z)$. Here $g$ is one number.


# %% tags=["exercise"]
@tg.derivation(of="cross_entropy.double")
def cross_entropy_double(g, u, z, labels):
    """g: a number, u and z: (n, k), labels: (n,) integers. Return the cotangents of z and of g."""
    raise NotImplementedError


lesson.check(cross_entropy_double)

# %% [markdown] tags=["hint"]
# The onehot does not depend on $z$. So $\bar z$ is $g/n$ times the backward rule of softmax, applied to $u$.

# %% [markdown] tags=["hint"]
# The backward rule of softmax for one row: $p \odot (u - \langle p, u \rangle)$.

# %% [markdown] tags=["hint"]
# $\bar g$ is one number: $\sum u \odot (p - \mathrm{onehot}) / n$. `p[np.arange(n), labels] -= 1` makes $p - $ onehot.


# %% tags=["solution"]
@tg.derivation(of="cross_entropy.double")
def cross_entropy_double(g, u, z, labels):
    """g: a number, u and z: (n, k), labels: (n,) integers. Return the cotangents of z and of g."""
    n = len(z)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = g * p * (u - (p * u).sum(axis=1, keepdims=True)) / n
    p[np.arange(n), labels] -= 1
    return dz, (u * p).sum() / n


lesson.check(cross_entropy_double)

# %% [markdown]
# ## Three things that look alike
#
# What does a second derivative give when there is nothing? There are three different cases, and a good library tells
# them apart. **Predict** for each: zeros, or an error?

# %%
print("3x, differentiated twice:", tg.grad(tg.grad(lambda x: 3 * x))(2.0))

x = tg.Tensor(2.0, requires_grad=True)
unused = tg.Tensor(5.0, requires_grad=True)
for output, of in [(tg.stop_gradient(x) ** 2, x), (x**2, unused)]:
    try:
        tg.autograd.grad(output, of)
    except tg.GradientError as error_:
        print(f"{type(error_).__name__}: {error_}")

# %% [markdown]
# The slope of $3x$ is 3 everywhere: its derivative is truly 0. In the second case the result was cut off from $x$, in
# the third the other variable was never used. Some libraries answer 0 or None in all three cases. Then a training that
# does nothing looks like a training with a small penalty.
#
# ## Second derivatives of several variables
#
# Let $f(x) = x_0^2 x_1 + x_1^3$ at $x = (2, -1)$. The matrix of all second derivatives is the **Hessian** $H$.
# People often compute `grad` of the *sum* of `grad`. **Predict:** is this the diagonal of $H$, here $(-2, -6)$?

# %%
f = lambda x: x[0] ** 2 * x[1] + x[1] ** 3
at = np.array([2.0, -1.0])
print("grad of sum of grad:", tg.grad(lambda x: tg.grad(f)(x).sum())(at).numpy())
print("Hessian:", tg.hessian(f)(at).numpy().tolist())

# %% [markdown]
# $(2, -2)$ are the sums of the rows: $H$ times a vector of ones. A second backward pass always gives $H v$ for some
# vector $v$. The good news is that $H v$ costs about as much as two or three gradients, however large $H$ is:

# %%
print("H (3, 5) =", tg.hvp(f, (at,), (np.array([3.0, 5.0]),)).numpy())

# %% [markdown]
# **Predict** one more, in the style of PyTorch. `x.grad` holds $3x^2 = (12, 27)$ after the first backward pass. The sum
# of `x.grad` is then differentiated. Is `x.grad` now the second derivative $6x = (12, -18)$?

# %%
x = tg.Tensor(np.array([2.0, -3.0]), requires_grad=True)
(x**3).sum().backward(create_graph=True)
print(x.grad.numpy())
x.grad.sum().backward()
print(x.grad.numpy())

# %% [markdown]
# $(24, 9) = (12, 27) + (12, -18)$. The second backward pass *added* to `x.grad`. Set `x.grad = None` in between, or use
# `tg.grad`, which keeps nothing.
#
# ## Break it on purpose: a number kept on the side
#
# $y = \sinh(x^2)$ has the slope $2x \cosh(x^2)$. The forward pass knows $x^2$ already. So one is tempted to compute the
# cosh there, and to keep it for the backward pass. **Predict:** is the first derivative right? And the second, at
# $x = 0.7$? The right numbers are 1.571 and 3.244.

# %%
kept = np.cosh(0.7**2)  # a plain number
right = tg.custom_vjp(lambda x: tg.sinh(x * x)).defvjp(lambda g, y, x: g * 2 * x * tg.cosh(x * x))
wrong = tg.custom_vjp(lambda x: tg.sinh(x * x)).defvjp(lambda g, y, x: g * 2 * x * kept)
for name, function in [("right", right), ("wrong", wrong)]:
    print(name, tg.grad(function)(0.7).item(), tg.grad(tg.grad(function))(0.7).item())

# %% [markdown]
# The first derivative agrees in all digits. The second is 2.245 instead of 3.244: the tape believes that `kept` does not
# depend on $x$. A rule for second order must be written with the inputs and the library's operations. A check of the
# second order finds such a rule:


# %%
def forgetful(g, x):
    return g * 2 * x * tg.cosh(tg.stop_gradient(x) ** 2)


tg.check_vjp(lambda x: np.sinh(x * x), forgetful, np.array([0.7, -0.4]), order=2)

# %% [markdown]
# The same happens with `float(x)` inside a formula. $x \cdot \mathrm{float}(x)^2$ at 3 has the value of $x^3$, and the
# gradient 9 in place of 27. tinygrad2 refuses it:

# %%
try:
    tg.grad(lambda x: x * float(x) ** 2)(3.0)
except TypeError as refused:
    print(refused)

# %% [markdown]
# ## On real digits
#
# Does the penalty do what it is for? We train the same small network twice on digits of $8 \times 8$ pixels: with
# cross-entropy alone, and with Drucker and LeCun's penalty added. Then we look at how large a change of an image must be
# to fool it. $\rho$ is that change, divided by the size of the image.

# %%
digits = tg.data.centre(tg.data.load("digits"))


def train(weight):
    """A network trained with cross-entropy + weight · mean ‖∂CE/∂x‖²."""
    net = nn.models.mlp(in_features=64, hidden=(48,), rng=0)
    optimizer = nn.Adam(net.parameters(), lr=3e-3)
    for epoch in range(20):
        for i in tg.data.batches(len(digits.x_train), batch_size=50, seed=0, epoch=epoch):
            net.zero_grad()
            trace = net.trace(digits.x_train[i])
            loss = tg.cross_entropy(trace.output, digits.y_train[i])
            if weight:
                loss = loss + weight * robust.input_gradient(trace, digits.y_train[i])
            loss.backward()
            optimizer.step()
    return net


for weight in (0.0, 100.0):
    trained = train(weight)
    accuracy = robust.accuracy(trained, digits.x_test, digits.y_test)
    rho = robust.rho(trained, digits.x_test[:100]).mean()
    print(f"penalty × {weight:g}: accuracy {accuracy:.1%}, ρ {rho:.3f}")

# %% [markdown]
# About the same accuracy, and a change that is almost a third larger is needed to fool the network. One seed proves nothing; lesson 9 compares
# such penalties with care.
#
# ## Summary
#
# * A ReLU network has no curvature in $x$, but its slopes depend on the weights. This mixed second derivative is what
#   penalties on slopes need.
# * Lane 1 goes forward, lane 2 back. Lanes 3 and 4 go back through both. A weight is used in lanes 1 and 2, so it gets
#   two contributions. Whoever detaches the error loses one.
# * A backward rule is a function of the inputs and of $g$. Its own backward rule gives $\bar g = J u$, and an $\bar x$ that
#   says how $J$ changes.
# * A rule is safe for second order if it is written with inputs and library operations. A number kept on the side, or
#   `float(x)`, spoils the second derivative and leaves the first one right.
#
# ## Quiz
#
# **1.** $P = \frac12 (w_1 w_2)^2$ at $(2, -3)$: what are $\partial P/\partial w_1$ and $\partial P/\partial w_2$?

# %% [markdown] tags=["answer"]
# 18 and $-12$.

# %% [markdown]
# **2.** For the network of the first section with a bias $b$: what are $\partial P/\partial b$ and $\partial P/\partial x$,
# where $P = \frac12 (\partial z/\partial x)^2$?

# %% [markdown] tags=["answer"]
# 0 and 0: the slope $w_1 w_2$ contains neither of them.

# %% [markdown]
# **3.** What is the Hessian of $x^3 y$ at $(2, 3)$?

# %% [markdown] tags=["answer"]
# The rows $(36, 12)$ and $(12, 0)$: $6xy$, $3x^2$, and 0.

# %% [markdown]
# **4.** $f = x^3 y$ at $(2, 3)$. What is the gradient of $\frac12 \lVert \nabla f \rVert^2$?

# %% [markdown] tags=["answer"]
# $H \nabla f$ with $\nabla f = (36, 8)$: $(36 \cdot 36 + 12 \cdot 8,\; 12 \cdot 36) = (1392, 432)$.

# %% [markdown]
# **5.** What is the second derivative of the sigmoid at $x = \ln 3$?

# %% [markdown] tags=["answer"]
# $-0.09375$: there $y = 0.75$, and $y (1 - y)(1 - 2y) = 0.1875 \cdot (-0.5)$.

# %% [markdown]
# ## Further reading
#
# * H. Drucker and Y. LeCun, *Double backpropagation: increasing generalization performance*, IJCNN 1991; and *Improving
#   generalization performance using double backpropagation*, IEEE Transactions on Neural Networks 1992.
# * B. A. Pearlmutter, *Fast exact multiplication by the Hessian*, Neural Computation 1994.
# * A. S. Ross and F. Doshi-Velez, [Improving the Adversarial Robustness and Interpretability of Deep Neural Networks by
#   Regularizing their Input Gradients](https://arxiv.org/abs/1711.09404), AAAI 2018.
#
# Next: lesson 4 does the same for convolutions. Each lesson stands alone.
