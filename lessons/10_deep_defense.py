# %% [markdown]
# # 10 Deep Defense from scratch
#
# **After this lesson you can**
#
# * compute the smallest change that fools a linear classifier, and repeat it for a curved one (DeepFool);
# * differentiate that change by the weights, so that training can make it larger;
# * write the loss of Deep Defense in twenty lines, and train a network with it;
# * say why weight decay does not do the same, and why an attack must step a little too far.
#
# You need: the chain rule, matrix products, a little NumPy. The lesson takes about 45 minutes. Where you see
# **Predict**, write your number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("10_deep_defense")

# %% [markdown]
# ## A number to start with
#
# A linear classifier says "class 1" where $f(x) = w \cdot x + b$ is positive, and "class 2" elsewhere. Take
# $w = (3, 4)$, $b = -4$, and the point $x = (4, 3)$. Then $f(x) = 12 + 12 - 4 = 20$.
#
# The boundary $f = 0$ is a straight line. Its distance from $x$ is $\lvert f(x) \rvert / \lVert w \rVert = 20/5 = 4$.
# The length of $x$ is 5. The distance divided by the length is called $\rho$: here $\rho = 0.8$. It says which share of
# its own size a point must move to be fooled. A small $\rho$ is bad.
#
# Many people use weight decay, a penalty on $\lVert w \rVert^2$, and hope for robustness. **Predict:** we multiply $w$
# and $b$ by 10. What happens to $\lVert w \rVert^2$? What happens to $\rho$?

# %%
for factor in (1, 10):
    w = factor * np.array([3.0, 4.0])
    b = factor * -4.0
    point = np.array([4.0, 3.0])
    rho = abs(w @ point + b) / np.linalg.norm(w) / np.linalg.norm(point)
    print(f"factor {factor:2}:  ‖w‖² = {w @ w:6.0f}   ρ = {rho}")

# %% [markdown]
# $\lVert w \rVert^2$ is 100 times as large, and $\rho$ is the same. The boundary did not move. So a penalty on the
# weights does not see how near the boundary is.
#
# In 2018 Ziang Yan, Yiwen Guo and Changshui Zhang had a direct idea: put $\rho$ itself into the loss. $\rho$ comes from
# an attack, and the attack is a computation with the network's own weights. So differentiate through the attack. They
# called it Deep Defense. We build it in four parts: the step of the attack, its derivative, the loss, the training.
#
# ## The step
#
# The attack is DeepFool. It looks for the shortest step $r$ to the boundary. For a curved $f$ it takes the tangent:
# with $v = \nabla f(x)$, it solves $f + v \cdot r = 0$. The shortest such $r$ points along $v$.
#
# Equation 2 of the paper is printed as
#
# $$r = -\frac{f}{\lVert v \rVert} \, v. \tag{1}$$
#
# **Predict:** take $f = 10$ and $v = (3, 4)$. Where does this step land? Compute $f + v \cdot r$.

# %%
f = 10.0
v = np.array([3.0, 4.0])
r = -f / np.linalg.norm(v) * v
print("step:", r, "  f after the step:", f + v @ r)

# %% [markdown]
# $-40$, far on the other side. The step is 5 times too long, and 5 is $\lVert v \rVert$. Something is missing in (1).
#
# ### Exercise 1: the right step
#
# Write the step. It must land exactly on the boundary of the linearised $f$, and be as short as possible.


# %% tags=["setup"]
STEPS = [
    (10.0, np.array([3.0, 4.0])),
    (-6.0, np.array([2.0, -3.0, 6.0])),
    (0.5, np.array([-0.25, 0.75, 1.5, -2.0])),
    (np.float32(3.5), np.array([4.0, -2.5], np.float32)),
    (-2e-6, np.array([3e3, -5e3])),
]


def lands(r, f, v):
    return abs(f + v @ r) <= 1e-5 * abs(f)


def along(r, f, v):
    return np.linalg.norm(r) * np.linalg.norm(v) <= abs(r @ v) * (1 + 1e-5)


STEP_HOLDS = {
    "The step has the shape of v.": lambda r, f, v: np.shape(r) == v.shape,
    "The step goes away from the boundary: f + v·r must be 0.": lambda r, f, v: f * (v @ r) < 0,
    "The step lands beyond the boundary: f + v·r must be 0.": lambda r, f, v: abs(v @ r) <= abs(f) * (1 + 1e-5),
    "The step does not reach the boundary: f + v·r must be 0.": lands,
    "The step lands on the boundary, but a shorter one does, too: it must point along v.": along,
}


# %% tags=["exercise"]
@task(cases=STEPS, holds=STEP_HOLDS)
def deepfool_step(f, v):
    """f: a number, v: (d,), the slope of f. Return the shortest step to the linearised boundary, of shape (d,)."""
    raise NotImplementedError


lesson.check(deepfool_step)

# %% [markdown] tags=["hint"]
# Try $r = s \cdot v$ with a number $s$. Which $s$ makes $f + v \cdot r = 0$?

# %% [markdown] tags=["hint"]
# $f + s \, (v \cdot v) = 0$, so $s = -f / \lVert v \rVert^2$. The paper's print has lost the square.


# %% tags=["solution"]
@task(cases=STEPS, holds=STEP_HOLDS)
def deepfool_step(f, v):
    """f: a number, v: (d,), the slope of f. Return the shortest step to the linearised boundary, of shape (d,)."""
    return -f / (v @ v) * v


lesson.check(deepfool_step)

# %% [markdown]
# So equation 2 should read
#
# $$r = -\frac{f}{\lVert v \rVert^2} \, v, \qquad \lVert r \rVert = \frac{\lvert f \rvert}{\lVert v \rVert}. \tag{2}$$
#
# In words: *go down the slope, by the value divided by the squared length of the slope.*
#
# ## Several steps for a curved boundary
#
# Let $f(x) = x_0^2 + 2 x_1 - 3$. Start at $(2, 1)$, where $f = 3$ and $\nabla f = (4, 2)$. The boundary is a parabola.
# After one step along the tangent we are near the parabola, but not on it. So DeepFool steps again.
#
# **Predict:** the first step has the length $3/\sqrt{20} = 0.671$. How long is the second: about half, a sixth, or less
# than a hundredth of it?

# %% tags=["setup"]
START = np.array([2.0, 1.0])


def parabola(x):
    """The value and the slope of x0² + 2 x1 - 3."""
    return x[0] ** 2 + 2 * x[1] - 3, np.array([2 * x[0], 2.0])


# %%
here = START.copy()
visited = [here]
for _ in range(3):
    f, v = parabola(here)
    r = -f / (v @ v) * v
    here = here + r
    visited.append(here)
    print(f"f = {f:.4f}   step of length {np.linalg.norm(r):.4f}   to {here.round(3)}")
print(f"together: {np.linalg.norm(here - START):.4f}")

# %% [markdown]
# 0.671, then 0.105 (about a sixth), then 0.002. The steps shrink fast, as in Newton's method. The whole change has the
# length 0.7765. The true distance to the parabola is 0.7674, a little less. DeepFool is not exact for a curved
# boundary, but it is close, and never below the true distance once it has reached the boundary.

# %% tags=["picture"]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
across = np.linspace(0.6, 2.6, 50)
left.plot(across, (3 - across**2) / 2, color="black", label="boundary f = 0")
for k, point in enumerate(visited[:2]):
    value, slope = parabola(point)
    line = point[1] - (value + slope[0] * (across - point[0])) / slope[1]
    left.plot(across, line, "--", color=f"C{k}", label=f"tangent boundary of step {k + 1}")
left.plot(*np.array(visited).T, "o-", color="tab:red", markersize=4)
left.annotate("x", START, (5, 5), textcoords="offset points")
left.set(xlim=(0.9, 2.3), ylim=(0.2, 1.3), aspect="equal", title="DeepFool walks to the boundary")
left.legend(fontsize=8, loc="lower left")
across = np.array([-1.0, 6.0])
for (w0, w1, b), style, label in [((3, 4, -4), "-", "before: distance 4.00"), ((4.6, 3.8, -3), "--", "after: 4.49")]:
    right.plot(across, -(b + w0 * across) / w1, style, color="black", label=label)
right.plot(4, 3, "o", color="tab:red")
right.annotate("x", (4, 3), (5, 5), textcoords="offset points")
right.set(xlim=(-1, 6), ylim=(-3, 4), aspect="equal", title="training pushes the boundary away")
right.legend(fontsize=8, loc="lower left")
figure.tight_layout()
picture(
    figure,
    "Left: a curved boundary and the walk from x = (2, 1). The first step ends at the tangent boundary of x, a little "
    "before the curve; the second, six times shorter, ends almost on the curve. Right: a straight boundary at the "
    "distance 4 from the point (4, 3). After one step along the gradient of the distance it has turned and moved away, to 4.49.",
)

# %% [markdown]
# ## The distance has a derivative
#
# To train, we need the slope of $\delta = \lvert f \rvert / \lVert v \rVert$ in $f$ and in $v$. Take numbers: $f = 5$,
# $v = (6, 8)$. So $\lVert v \rVert = 10$ and $\delta = 0.5$. If $f$ grows by 0.001, $\delta$ grows by $0.0001$: the
# slope is $1/10$. If $v$ becomes 1 % longer, $\delta$ becomes 1 % smaller. So the slope in $v$ points against $v$.
#
# $$\frac{\partial \delta}{\partial f} = \frac{\mathrm{sign}(f)}{\lVert v \rVert}, \qquad
# \frac{\partial \delta}{\partial v} = -\frac{\lvert f \rvert}{\lVert v \rVert^3} \, v \tag{3}$$
#
# In words: *the distance grows with the lead, and it shrinks with the slope.* **Predict** $\partial \delta/\partial v$
# for these numbers.

# %%
print(tg.grad(lambda f, v: tg.abs(f) / tg.norm(v), (0, 1))(5.0, np.array([6.0, 8.0])))

# %% [markdown]
# $0.1$, and $-5 \cdot (6, 8)/1000 = (-0.03, -0.04)$.
#
# ### Exercise 2: the distance
#
# Now for a batch: each row of $v$ is the slope of one sample.


# %% tags=["setup"]
def distance_of(f, v):
    """|f_i| / ‖v_i‖. f: (n,), v: (n, d); result: (n,)."""
    return np.abs(f) / np.sqrt((v * v).sum(axis=1))


# %% tags=["exercise"]
@tg.derivation(of=distance_of, axes="n, n d")
def distance(g, f, v):
    """g and f: (n,), v: (n, d). Return the cotangents of f and of v."""
    raise NotImplementedError


lesson.check(distance)

# %% [markdown] tags=["hint"]
# Use (3) for each row, and multiply by $g$.

# %% [markdown] tags=["hint"]
# `length = np.sqrt((v * v).sum(axis=1))` has the shape $(n,)$. To multiply the rows of $v$ by numbers, give them a
# second axis: `something[:, None] * v`.


# %% tags=["solution"]
@tg.derivation(of=distance_of, axes="n, n d")
def distance(g, f, v):
    """g and f: (n,), v: (n, d). Return the cotangents of f and of v."""
    length = np.sqrt((v * v).sum(axis=1))
    return g * np.sign(f) / length, -(g * np.abs(f) / length**3)[:, None] * v


lesson.check(distance)

# %% [markdown]
# ## The slope is a reverse network
#
# Where does $v$ come from in a network? Take one hidden layer of ReLU and one output, equation 4 of the paper:
#
# $$f = w \cdot a + c, \qquad a = \mathrm{relu}(W x + b) \tag{4}$$
#
# Its slope is equation 5 of the paper:
#
# $$v = \nabla f = W^\mathsf{T} (m \odot w), \qquad m = [W x + b > 0]. \tag{5}$$
#
# In words: *start with the weights of the last layer, keep what is on, multiply by the first weights the other way
# round.* This is a network, too: the **reverse network**. Its weights are the same $W$ and $w$. So when $v$ gets a
# cotangent, it passes it on to these weights.
#
# Here is a network with numbers. Its two logits have the difference $f = z_0 - z_1$, with $w = (7, -7, -1.5)$.

# %% tags=["setup"]
W1 = np.array([[2.0, -3.0], [-1.5, 0.5], [4.0, 2.0]])
b1 = np.array([0.5, -2.0, -3.0])
W2 = np.array([[3.0, -2.0, 0.5], [-4.0, 5.0, 2.0]])
b2 = np.array([0.25, -0.75])
point = np.array([2.0, -1.0])


def small_net():
    net = nn.Sequential(first=nn.Linear(2, 3), relu=nn.ReLU(), second=nn.Linear(3, 2)).astype(np.float64)
    net.load_state_dict({"first.weight": W1, "first.bias": b1, "second.weight": W2, "second.bias": b2})
    return net


# %%
trace = small_net().trace(point[None])
print(trace.reverse())

# %% [markdown]
# The logits are $(24.25, -24.75)$, so $f = 49$. The cotangent $u = (1, -1)$ asks for the slope of $z_0 - z_1$.
# **Predict** with (5): $m = (1, 0, 1)$. What is $v$? How far is the boundary?

# %%
v = trace.reverse()(np.array([[1.0, -1.0]])).numpy()[0]
f = trace.output.numpy()[0] @ [1, -1]
print("v =", v, "  f =", f, "  distance:", abs(f) / np.linalg.norm(v))
print("by the library's DeepFool, which steps 2 % further:", robust.deepfool(small_net(), point[None]).norms / 1.02)

# %% [markdown]
# $7 \cdot (2, -3) - 1.5 \cdot (4, 2) = (8, -24)$, and $49/\sqrt{640} = 1.937$. On the way to the boundary no unit
# switches on or off. So one step is enough, and the distance is exact along this way.
#
# ### Exercise 3: the reverse network, reversed
#
# Equation (5) is a function of $W$ and $w$. Given a cotangent $g$ of $v$, return the cotangents of $W$ and of $w$. The
# mask $m$ is given, and constant.


# %% tags=["setup"]
def slope_of(first, w, m):
    """∇f = Wᵀ (m ⊙ w). first: (h, d), w: (h,), m: (h,); result: (d,)."""
    return first.T @ (m * w)


# %% tags=["exercise"]
@tg.derivation(of=slope_of, axes="h d, h, h", wrt=("first", "w"))
def reverse_network(g, first, w, m):
    """g: (d,), first: (h, d), w and m: (h,). Return the cotangents of first and of w."""
    raise NotImplementedError


lesson.check(reverse_network)

# %% [markdown] tags=["hint"]
# Write the number $\langle g, v \rangle = \sum_{h,d} g_d \, W_{hd} \, m_h w_h$. The cotangent of $W_{hd}$ is what
# stands beside it.

# %% [markdown] tags=["hint"]
# $W_{hd}$ has $m_h w_h \cdot g_d$ beside it: `np.outer(m * w, g)`. And $w_h$ has $m_h \sum_d W_{hd} g_d$.


# %% tags=["solution"]
@tg.derivation(of=slope_of, axes="h d, h, h", wrt=("first", "w"))
def reverse_network(g, first, w, m):
    """g: (d,), first: (h, d), w and m: (h,). Return the cotangents of first and of w."""
    return np.outer(m * w, g), m * (first @ g)


lesson.check(reverse_network)

# %% [markdown]
# ## Through the attack
#
# Now put it together. The distance of the network's boundary is $\delta = \lvert f \rvert / \lVert v \rVert$. The
# weights $w$ of the last layer are used twice: in $f = w \cdot a + c$, and in $v = W^\mathsf{T}(m \odot w)$. What is
# used twice gets two contributions:
#
# $$\frac{\partial \delta}{\partial w} = \frac{\partial \delta}{\partial f} \, a \; + \; m \odot \left( W \,
# \frac{\partial \delta}{\partial v} \right) \tag{6}$$
#
# In words: *one part makes the lead larger, the other makes the slope smaller.* Training with the first part alone
# makes the network louder, but not more robust.
#
# ### Exercise 4: the distance by the last weights
#
# `first`, `bias` and `x` belong to the first layer. Return the cotangent of `w`.


# %% tags=["setup"]
def distance_of_network(w, c, first, bias, x):
    """|f| / ‖∇f‖ for f = w · relu(first x + bias) + c. w, bias: (h,), c: (), first: (h, d), x: (d,); a number."""
    before = first @ x + bias
    f = w @ np.maximum(before, 0) + c
    v = first.T @ ((before > 0) * w)
    return np.abs(f) / np.sqrt((v * v).sum())


# %% tags=["exercise"]
@tg.derivation(of=distance_of_network, axes="h, , h d, h, d", wrt="w")
def through_the_attack(g, w, c, first, bias, x):
    """g, c: numbers, w and bias: (h,), first: (h, d), x: (d,). Return the cotangent of w, of shape (h,)."""
    raise NotImplementedError


lesson.check(through_the_attack)

# %% [markdown] tags=["hint"]
# Compute `before`, the mask `m = before > 0`, `a = np.maximum(before, 0)`, `f`, `v` and the length of `v` once more.

# %% [markdown] tags=["hint"]
# With (3): `df = g * np.sign(f) / length` and `dv = -g * np.abs(f) / length**3 * v`.

# %% [markdown] tags=["hint"]
# With (6): `return df * a + m * (first @ dv)`.


# %% tags=["solution"]
@tg.derivation(of=distance_of_network, axes="h, , h d, h, d", wrt="w")
def through_the_attack(g, w, c, first, bias, x):
    """g, c: numbers, w and bias: (h,), first: (h, d), x: (d,). Return the cotangent of w, of shape (h,)."""
    before = first @ x + bias
    m = before > 0
    a = np.maximum(before, 0)
    f = w @ a + c
    v = first.T @ (m * w)
    length = np.sqrt((v * v).sum())
    df = g * np.sign(f) / length
    dv = -g * np.abs(f) / length**3 * v
    return df * a + m * (first @ dv)


lesson.check(through_the_attack)

# %% [markdown]
# The tape does the same. Here is the slope of the distance of the small network above, in all its weights. And a check
# without any formula: if $w$ and $c$ are both multiplied by a number, the boundary does not move. So the slope of
# $\delta$ along $(w, c)$ must be 0.

# %%
net = small_net()
trace = net.trace(point[None])
u = np.array([[1.0, -1.0]])
f = (trace.output * u).sum()
(tg.abs(f) / tg.norm(trace.reverse()(u))).backward()
last = net["second"]
print("∂δ/∂W2:", last.weight.grad.numpy().round(4).tolist())
print("along (W2, b2):", (last.weight.grad.numpy() * W2).sum() + (last.bias.grad.numpy() * b2).sum())

# %% [markdown]
# Zero, up to rounding. This is what the first number of this lesson said: the loss cannot cheat by scaling.
#
# ## The loss
#
# Equations 3 and 6 of the paper, for a batch of $N$ samples:
#
# $$L = \frac1N \sum_i \mathrm{CE}_i + \frac{\lambda}{N} \Big[ \sum_{\text{right}} e^{-c \rho_i}
# + \sum_{\text{wrong}} e^{d \rho_i} \Big], \qquad \rho_i = \frac{\lVert r_i \rVert}{\lVert x_i \rVert} \tag{7}$$
#
# In words: *a sample that is classified correctly should be far from the boundary. A sample on the wrong side should be
# near it, so that it can cross.* For a wrong sample, the attack walks towards the true class. The rates $c$ and $d$ say
# how fast the two exponentials change.
#
# Why the exponential? **Predict:** with $c = 25$, how many times as strongly is a sample with $\rho = 0.1$ pushed,
# compared with one with $\rho = 0.3$?

# %%
for rho in (0.1, 0.3):
    print(f"ρ = {rho}:  right: value {np.exp(-25 * rho):.4f}, slope {-25 * np.exp(-25 * rho):.4f}", end="")
    print(f"   wrong: value {np.exp(5 * rho):.3f}, slope {5 * np.exp(5 * rho):.2f}")

# %% [markdown]
# $e^{5} \approx 148$ times as strongly. The samples that are near the boundary get almost all of the push. Samples that
# are robust already are left alone. With a linear function of $\rho$ it would be the other way round: a few very robust
# samples could pay for many weak ones.
#
# ### Exercise 5: the regulariser
#
# `lead` is $z_t$ minus the strongest other logit: positive means that the sample is classified correctly. Return the
# cotangent of `rho`.


# %% tags=["setup"]
def regulariser_of(rho, lead, c, d):
    """The mean of exp(-c·rho_i) where lead_i > 0, and of exp(d·rho_i) elsewhere. rho, lead: (n,); result: a number."""
    return np.mean(np.where(lead > 0, np.exp(-c * rho), np.exp(d * rho)))


# %% tags=["exercise"]
@tg.derivation(of=regulariser_of, axes="n, n", wrt="rho", params={"c": [2.5, 4.0], "d": [0.5, 1.5]})
def regulariser(g, rho, lead, c, d):
    """g: a number, rho and lead: (n,), c and d: numbers. Return the cotangent of rho, of shape (n,)."""
    raise NotImplementedError


lesson.check(regulariser)

# %% [markdown] tags=["hint"]
# The slope of $e^{-c\rho}$ is $-c \, e^{-c\rho}$. The slope of $e^{d\rho}$ is $d \, e^{d\rho}$. The mean divides by
# $n$.

# %% [markdown] tags=["hint"]
# One rate per sample makes it short: `rate = np.where(lead > 0, -c, d)`. Take care of the dtype: `.astype(rho.dtype)`.


# %% tags=["solution"]
@tg.derivation(of=regulariser_of, axes="n, n", wrt="rho", params={"c": [2.5, 4.0], "d": [0.5, 1.5]})
def regulariser(g, rho, lead, c, d):
    """g: a number, rho and lead: (n,), c and d: numbers. Return the cotangent of rho, of shape (n,)."""
    rate = np.where(lead > 0, -c, d).astype(rho.dtype)
    return g * rate * np.exp(rate * rho) / len(rho)


lesson.check(regulariser)

# %% [markdown]
# ## The whole loss, on real digits
#
# With ten classes there are nine boundaries. DeepFool takes the nearest one. Which one that is, is found *without* the
# tape: the choice of a class has no derivative. Then one row per sample goes onto the tape, instead of nine. This
# function takes one step of DeepFool. It is all of Deep Defense but the iterations:

# %%
digits = tg.data.centre(tg.data.load("digits"))


def deep_defense(net, x, labels, lam=15.0, c=25.0, d=5.0):
    """Mean CE + lam · regulariser, and ρ of each sample. x: (n, ...), labels: (n,)."""
    trace = net.trace(x)
    z = trace.output
    n, k = z.shape
    every = np.arange(n)
    own = z.numpy().argmax(axis=1)
    with tg.no_grad():  # which boundary is nearest?
        jacobian = trace.jacobian().numpy().reshape(k, n, -1)
    lead = abs(z.numpy().T - z.numpy()[every, own])  # (k, n)
    slope = np.linalg.norm(jacobian - jacobian[own, every], axis=-1)
    slope[own, every] = 1.0
    lead[own, every] = np.inf
    goal = np.where(own == labels, (lead / slope).argmin(axis=0), labels)
    one_hot = np.eye(k, dtype=np.float32)
    u = one_hot[goal] - one_hot[own]
    v = trace.reverse()(u).reshape(n, -1)  # from here on, the tape records
    rho = tg.abs((z * u).sum(axis=1)) / tg.norm(v, axis=1) / np.linalg.norm(x.reshape(n, -1), axis=1)
    rate = np.where(own == labels, -c, d).astype(np.float32)
    return tg.cross_entropy(z, labels) + lam * tg.exp(rho * rate).mean(), rho


def batches(epoch):
    return tg.data.batches(len(digits.x_train), batch_size=50, seed=0, epoch=epoch)


def told(net):
    accuracy = robust.accuracy(net, digits.x_test, digits.y_test)
    return f"accuracy {accuracy:.1%}, ρ {robust.rho(net, digits.x_test).mean():.3f}"


net = nn.models.mlp(in_features=64, hidden=(48,), rng=0)
optimizer = nn.Adam(net.parameters(), lr=3e-3)
for epoch in range(20):
    for i in batches(epoch):
        net.zero_grad()
        tg.cross_entropy(net(digits.x_train[i]), digits.y_train[i]).backward()
        optimizer.step()
print("reference:   ", told(net))
ours = deep_defense(net, digits.x_test, digits.y_test)[1].numpy()
library = robust.deep_defense(net, digits.x_test, digits.y_test, max_iter=1, overshoot=0.0).rho
print("largest difference to the library's ρ with one step:", abs(ours - library).max())

# %% [markdown]
# **Predict:** we train this network further, for eight epochs with the loss (7). What happens to $\rho$? And does the
# accuracy fall?

# %%
optimizer = nn.SGD(net.parameters(), lr=2e-4, momentum=0.9)
for epoch in range(8):
    for i in batches(20 + epoch):
        net.zero_grad()
        deep_defense(net, digits.x_train[i], digits.y_train[i])[0].backward()
        optimizer.step()
    if epoch % 2:
        print(f"epoch {epoch + 1}:     ", told(net))

# %% [markdown]
# $\rho$ grows by about a third, and the accuracy does not fall. In the paper the same happens on MNIST: from 0.111 to
# 0.225 for a fully connected network, with an accuracy of 98.65 % after 98.31 %. A larger margin helps with new images,
# too. But note what we have measured: the training and the test use the same attack. A fair test uses other attacks as
# well.
#
# ## Break it on purpose: exactly on the boundary
#
# The step (2) lands *on* the boundary. DeepFool tests success a little further, at $1.02 \, r$. This 2 % is called the
# overshoot. It looks like decoration. **Predict:** the network below is linear, so one step is exact. With an overshoot
# of 0, how many steps do 200 random points need, in float32?

# %%
linear = nn.Linear(3, 2)
linear.load_state_dict(
    {
        "weight": np.array([[2.5, 2.0, -0.5], [-1.5, -3.5, 4.0]], np.float32),
        "bias": np.array([0.5, -2.75], np.float32),
    }
)
points = np.random.default_rng(3).uniform(-3, 3, (200, 3)).astype(np.float32)
for overshoot in (0.02, 0.0):
    found = robust.deepfool(linear, points, overshoot=overshoot)
    steps = np.bincount(found.iterations)
    print(f"overshoot {overshoot}:", {i: int(count) for i, count in enumerate(steps) if count})
stuck = np.flatnonzero(found.iterations == 50)[0]
print("logits of a point that is stuck:", linear(found.adversarial).numpy()[stuck])

# %% [markdown]
# With 2 % every point needs one step. With 0, only a few points do, and about a third of them is not done after 50
# steps. They stand so near the boundary that the two logits differ in the last digit only, or not at all. Rounding
# decides on which side they are, and the next step is too small to change $x$. So the overshoot is part of the method,
# and a report must state it: it makes every $\rho$ 2 % larger.
#
# ## Summary
#
# * The shortest step to a linear boundary is $-f v / \lVert v \rVert^2$, and its length is $\lvert f \rvert / \lVert v
#   \rVert$. DeepFool repeats it.
# * $v$ comes from a reverse network that shares its weights with the forward network. So the length of the step has a
#   derivative in the weights, in two parts: through the lead and through the slope.
# * $\rho$ does not change when the last layer is scaled. Weight decay does.
# * The exponential pushes the samples that are near the boundary. Samples on the wrong side are pulled towards it.
# * Choices (which class, which unit is on) are constants. The iterates themselves are differentiated.
#
# ## Quiz
#
# **1.** $\lvert f \rvert = 4$, $\lVert w \rVert = 2$, $\lVert x \rVert = 10$, $f$ is linear. What is $\rho$? And after
# $w$ and $b$ have been doubled?

# %% [markdown] tags=["answer"]
# $4/2/10 = 0.2$, and again 0.2.

# %% [markdown]
# **2.** $v = (6, 8)$ and $f = 5$. What are the slopes of $\lVert r \rVert$ in $f$ and in $v$?

# %% [markdown] tags=["answer"]
# 0.1, and $(-0.03, -0.04)$.

# %% [markdown]
# **3.** The step itself, $r = -f v / \lVert v \rVert^2$, is a vector. Let $f = 10$, $v = (3, 4)$, and let the cotangent
# of $r$ be $g = (1, 2)$. What are the cotangents of $f$ and of $v$?

# %% [markdown] tags=["answer"]
# $\bar f = -g \cdot v / \lVert v \rVert^2 = -11/25 = -0.44$, and $\bar v = -f \left( g / \lVert v \rVert^2 - 2 (g \cdot
# v) \, v / \lVert v \rVert^4 \right) = (0.656, 0.608)$.

# %% [markdown]
# **4.** $\rho = 0.1$, $c = 25$, $d = 5$. What are value and slope of the two exponentials?

# %% [markdown] tags=["answer"]
# Right: 0.0821 and $-2.05$. Wrong: 1.649 and 8.24.

# %% [markdown]
# **5.** $f(x) = w \cdot x + b$. What is $\langle \partial \rho/\partial w, w \rangle + b \, \partial \rho/\partial b$?

# %% [markdown] tags=["answer"]
# 0. Moving along $(w, b)$ scales $f$, and scaling does not change $\rho$.

# %% [markdown]
# ## Further reading
#
# * Z. Yan, Y. Guo and C. Zhang, [Deep Defense: Training DNNs with Improved Adversarial
#   Robustness](https://arxiv.org/abs/1803.00404), NeurIPS 2018: this lesson.
# * S.-M. Moosavi-Dezfooli, A. Fawzi and P. Frossard, [DeepFool: a simple and accurate method to fool deep neural
#   networks](https://arxiv.org/abs/1511.04599), CVPR 2016: the attack.
# * G. F. Elsayed and others, [Large Margin Deep Networks for Classification](https://arxiv.org/abs/1803.05598), NeurIPS
#   2018: the same first-order distance, in hidden layers as well.
#
# Next: lesson 11 moves the images instead of punishing slopes. Each lesson stands alone.
