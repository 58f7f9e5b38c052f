# %% [markdown]
# # 11 Input updates: the smooth gradient method
#
# **After this lesson you can**
#
# * move training images along their own gradients, by the right amount for every sample of a batch;
# * say how such training is related to a penalty on the input gradient, and why it gives exactly half of it;
# * tell the two routes by which a weight acts on a moved image, and compute both;
# * see when moved images help, and when they spoil the data set.
#
# You need: the chain rule, a little NumPy. The lesson takes about 40 minutes. Where you see **Predict**, write your
# number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("11_input_updates")

# %% [markdown]
# ## A number to start with
#
# The smallest network is one weight: $z = w x$. Its error is $E = \frac12 (w x - t)^2$. Take $w = 3$, $x = 0.5$ and the
# target $t = 1$. Then $z = 1.5$, the difference is $e = z - t = 0.5$, and $E = 0.125$.
#
# How fast does the error change when the *input* moves? $\partial E/\partial x = e \, w = 1.5$. Now move the input in
# this direction, by a rate of $\lambda = 0.1$: $x' = 0.5 + 0.1 \cdot 1.5 = 0.65$. The error at $x'$ is larger, so $x'$
# is a harder example. Train on it, and the network becomes less sensitive. This is the smooth gradient method of Alan
# Mosca and George Magoulas (2018).
#
# There is another way to become less sensitive: a penalty on $(\partial E/\partial x)^2$, as Drucker and LeCun had it.
# The two must be related, since to first order
#
# $$E(x') = E\!\left(x + \lambda \frac{\partial E}{\partial x}\right) \approx E(x) + \lambda \left( \frac{\partial
# E}{\partial x} \right)^2. \tag{1}$$
#
# In words: *the error at the moved input is the error plus $\lambda$ times the penalty.* So training on $x'$ should do
# what the penalty does. **Predict:** the penalty's slope in $w$ is 6. The method holds $x'$ fixed when it trains $w$.
# Which share of the 6 does it give?


# %% tags=["setup"]
def error(w, x, t):
    """½ (w x - t)²."""
    return 0.5 * (w * x - t) ** 2


# %%
w, x, t, rate = 3.0, 0.5, 1.0, 1e-4
penalty = lambda w: tg.grad(lambda x: error(w, x, t))(x) ** 2
print("slope of the penalty:", tg.grad(penalty)(w).item())
moved = x + rate * (w * x - t) * w  # a number, fixed
extra = tg.grad(lambda w: error(w, moved, t))(w) - tg.grad(lambda w: error(w, x, t))(w)
print("what the moved input adds, divided by the rate:", (extra / rate).item())

# %% [markdown]
# 3.00 of 6: exactly half. (The rate was tiny, so that (1) is exact up to the fourth digit.) The reason is in the
# section "Two routes". First we move some inputs.
#
# ## Moving an input
#
# Back to $\lambda = 0.1$: $x$ moves from 0.5 to 0.65. **Predict** the error at 0.65. Equation (1) says
# $0.125 + 0.1 \cdot 2.25 = 0.35$. Is the true error larger or smaller?

# %%
print("true:", error(3.0, 0.65, 1.0), "   by (1):", 0.125 + 0.1 * 1.5**2)

# %% [markdown]
# 0.451, larger: the error is a parabola, and (1) follows only its tangent.
#
# FGSM, the best-known attack, moves by the *sign* of the gradient: every pixel by the same amount. The smooth gradient
# method (SGM) moves by the gradient itself. **Predict:** the gradient is $(0.02, -1.5, 0)$, the rate is 0.1. Where do
# the two move?

# %%
gradient = np.array([0.02, -1.5, 0.0])
print("FGSM:", 0.1 * np.sign(gradient), "   SGM:", 0.1 * gradient)

# %% [markdown]
# The first pixel hardly matters for the error. FGSM moves it as far as the second; SGM almost leaves it alone.
#
# ### Exercise 1: move a sample
#
# Now $x$ has $d$ entries: $E = \frac12 (w \cdot x - t)^2$. Return $x + \lambda \, \partial E/\partial x$.


# %% tags=["setup"]
def single(seed, d, dtype=np.float64):
    """x, w, t and a rate."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2.5, d).astype(dtype)
    w = rng.uniform(-2.5, 2.5, d).astype(dtype)
    return x, w, dtype(w @ x - rng.choice([-1.5, 2.5])), dtype(0.1)


def step_of(x, w, t, rate):
    return rate * (w @ x - t) * w


MOVES = [single(1, 3), single(2, 5), single(3, 2), single(4, 4, np.float32)]
MOVE_HOLDS = {
    "The result has the shape and the dtype of x.": lambda r, x, *more: r.shape == x.shape and r.dtype == x.dtype,
    "This is the step alone. The moved x is x plus the step.": lambda r, x, *more: (
        not np.allclose(r, step_of(x, *more), rtol=1e-5)
    ),
    "The error falls. With a positive rate, x climbs its own error.": lambda r, x, *more: (
        not np.allclose(r - x, -step_of(x, *more), rtol=1e-4)
    ),
    "That is FGSM. SGM moves by the gradient itself, not by its sign.": lambda r, x, *more: (
        not np.allclose(abs(r - x), more[-1], rtol=1e-4)
    ),
    "The moved x is not x + rate · ∂E/∂x.": lambda r, x, *more: np.allclose(r - x, step_of(x, *more), rtol=1e-4),
}


# %% tags=["exercise"]
@task(cases=MOVES, holds=MOVE_HOLDS)
def move(x, w, t, rate):
    """x and w: (d,), t and rate: numbers. Return x + rate · ∂E/∂x for E = ½ (w·x - t)²."""
    raise NotImplementedError


lesson.check(move)

# %% [markdown] tags=["hint"]
# The difference is $e = w \cdot x - t$. If entry $i$ of $x$ grows by 0.001, $e$ grows by $0.001 \, w_i$.

# %% [markdown] tags=["hint"]
# $\partial E/\partial x = e \, w$.


# %% tags=["solution"]
@task(cases=MOVES, holds=MOVE_HOLDS)
def move(x, w, t, rate):
    """x and w: (d,), t and rate: numbers. Return x + rate · ∂E/∂x for E = ½ (w·x - t)²."""
    e = w @ x - t
    return x + rate * e * w


lesson.check(move)

# %% [markdown]
# ### It stays moved
#
# In SGM the data set itself changes. An image moves at each visit, once per epoch, and stays where it is until the
# next. **Predict:** if $w = 3$ did not change, how large would the difference $e = 0.5$ be after one, two and three
# visits, with $\lambda = 0.1$? And with $\lambda = -0.1$?

# %%
for rate in (0.1, -0.1):
    x = 0.5
    differences = []
    for _ in range(3):
        x = x + rate * (3.0 * x - 1.0) * 3.0
        differences.append(round(3.0 * x - 1.0, 6))
    print(f"λ = {rate:4}:", differences)

# %% [markdown]
# Each visit multiplies $e$ by $1 + \lambda w^2$: by 1.9, or by 0.1. So with a positive rate the images run away, faster
# and faster, if the network does not learn to hold them. With a negative rate the images come to the network: the
# training error vanishes without any learning. The paper allows both signs, from $-1$ to 1. The right size depends on
# the scale of the images and of the network.
#
# ## The penalty
#
# For $E = \frac12 (w \cdot x - t)^2$ the penalty is $P = \lVert \partial E/\partial x \rVert^2 = e^2 \, \lVert w
# \rVert^2$. In our example: $0.25 \cdot 9 = 2.25$. Its slope in $w$ has two parts, because $w$ is used twice: in $e$,
# and as the factor.
#
# ### Exercise 2: the slope of the penalty


# %% tags=["exercise"]
@tg.derivation(of=lambda w, x, t: (w @ x - t) ** 2 * (w @ w), axes="d, d, ", wrt="w")
def penalty_slope(g, w, x, t):
    """g and t: numbers, w and x: (d,). Return the cotangent of w, of shape (d,)."""
    raise NotImplementedError


lesson.check(penalty_slope)

# %% [markdown] tags=["hint"]
# A product of $e^2$ and $\lVert w \rVert^2$. The first has the slope $2 e x$, the second $2 w$.

# %% [markdown] tags=["hint"]
# `e = w @ x - t`, then `g * (2 * e * (w @ w) * x + e**2 * 2 * w)`. For $w = 3$, $x = 0.5$, $e = 0.5$: $4.5 + 1.5 = 6$.


# %% tags=["solution"]
@tg.derivation(of=lambda w, x, t: (w @ x - t) ** 2 * (w @ w), axes="d, d, ", wrt="w")
def penalty_slope(g, w, x, t):
    """g and t: numbers, w and x: (d,). Return the cotangent of w, of shape (d,)."""
    e = w @ x - t
    return 2 * g * e * ((w @ w) * x + e * w)


lesson.check(penalty_slope)

# %% [markdown]
# ## Two routes
#
# How does a weight act on the error at the moved input, $E(x')$? There are two routes:
#
# 1. The network at $x'$ uses $w$. This is ordinary training, on another image.
# 2. $x' = x + \lambda \, e \, w$ contains $w$ as well. If $w$ changes, the moved image lands elsewhere.
#
# SGM keeps $x'$ in an array, and the next epoch reads it from there. So route 2 is cut. The picture shows both.

# %% tags=["picture"]
figure, axes = plt.subplots(figsize=(8.5, 3.2))
places = {"x": (0, 1), "w": (0, -1), "∂E/∂x": (1.7, 0), "x′": (3.4, 1), "E(x′)": (5.1, 0)}
lines = [
    ("x", "∂E/∂x", "-", "0.5"),
    ("x", "x′", "-", "0.5"),
    ("w", "∂E/∂x", "--", "tab:red"),
    ("∂E/∂x", "x′", "--", "tab:red"),
    ("x′", "E(x′)", "--", "tab:red"),
    ("w", "E(x′)", "-", "tab:blue"),
]
for start, end, style, colour in lines:
    arrow = {"arrowstyle": "->", "linestyle": style, "color": colour, "shrinkA": 22, "shrinkB": 22}
    axes.annotate("", places[end], places[start], arrowprops=arrow)
for name, (across, up) in places.items():
    axes.text(across, up, name, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white", "ec": "0.3"})
axes.text(2.8, -1.05, "route 1: the network at x′", color="tab:blue")
axes.text(0.75, 1.3, "route 2 (dashed): the moved image itself, cut by SGM", color="tab:red")
axes.set(xlim=(-0.5, 5.8), ylim=(-1.5, 1.6))
axes.axis("off")
picture(
    figure,
    "A diagram of what E(x') depends on. A solid blue arrow leads from w straight to E(x'): route 1. Dashed red arrows "
    "lead from w to the gradient, from there to the moved input x', and on to E(x'): route 2, which SGM cuts.",
)

# %% [markdown]
# Now (1) with both routes: the whole slope of $E(x')$ is that of $E + \lambda P$, as far as (1) is exact. The penalty's
# share is $\lambda \cdot 6$. Route 1 alone gives $\lambda$ times
#
# $$\frac{\partial^2 E}{\partial w \, \partial x} \cdot \frac{\partial E}{\partial x} = 2 \cdot 1.5 = 3. \tag{2}$$
#
# In words: *how fast the training gradient changes along the move, times the length of the move.* And the penalty? $P =
# (\partial E/\partial x)^2$ is a square, and a square has a 2 in its slope: $2 \cdot 1.5 \cdot 2 = 6$. One half comes
# from each factor, and SGM holds one of them constant. This is so for every network, not only for this one.

# %%
w, x, t, rate = 3.0, 0.5, 1.0, 1e-4


def both_routes(w):
    return error(w, x + rate * (w * x - t) * w, t)


def route_1(w):
    return error(w, tg.stop_gradient(x + rate * (w * x - t) * w), t)


plain = tg.grad(lambda w: error(w, x, t))(w)
for route in (both_routes, route_1):
    print(f"{route.__name__:12}", ((tg.grad(route)(w) - plain) / rate).item())

# %% [markdown]
# 6.0034 and 3.0007. So SGM with $\lambda$ acts like the penalty with $\lambda/2$, as long as the moves are small and
# always start from the original image.
#
# ### Exercise 3: both routes
#
# The function below computes $E(x')$ from $w$, with $x' = x + \lambda e w$. Return the whole cotangent of $w$, through
# both routes.


# %% tags=["setup"]
def error_at_moved(w, x, t, rate):
    """½ (w·x' - t)² at x' = x + rate · (w·x - t) · w. w, x: (d,), t: a number; result: a number."""
    moved = x + rate * (w @ x - t) * w
    return 0.5 * (w @ moved - t) ** 2


# %% tags=["exercise"]
@tg.derivation(of=error_at_moved, axes="d, d, ", params={"rate": [0.25, -0.5]}, wrt="w")
def whole_slope(g, w, x, t, rate):
    """g, t, rate: numbers, w and x: (d,). Return the cotangent of w, of shape (d,)."""
    raise NotImplementedError


lesson.check(whole_slope)

# %% [markdown] tags=["hint"]
# Forward: `e = w @ x - t`, `moved = x + rate * e * w`, `after = w @ moved - t`. The cotangent of `after` is `g *
# after`.

# %% [markdown] tags=["hint"]
# Route 1 brings `g * after * moved`. For route 2, the cotangent of `moved` is `dm = g * after * w`.

# %% [markdown] tags=["hint"]
# `moved` contains $w$ as a factor, which brings `rate * e * dm`, and in `e`, which brings `rate * (dm @ w) * x`.


# %% tags=["solution"]
@tg.derivation(of=error_at_moved, axes="d, d, ", params={"rate": [0.25, -0.5]}, wrt="w")
def whole_slope(g, w, x, t, rate):
    """g, t, rate: numbers, w and x: (d,). Return the cotangent of w, of shape (d,)."""
    e = w @ x - t
    moved = x + rate * e * w
    after = w @ moved - t
    dm = g * after * w
    return g * after * moved + rate * e * dm + rate * (dm @ w) * x


lesson.check(whole_slope)

# %% [markdown]
# ### A formula that is not a chain rule
#
# Equation 14 of the paper says
#
# $$\frac{\partial E}{\partial x_i} = \frac{\partial E}{\partial w_{ij}} \frac{\partial w_{ij}}{\partial x_i}. \tag{3}$$
#
# **Predict:** what is $\partial w_{ij} / \partial x_i$?

# %% [markdown] tags=["answer"]
# 0: a weight does not depend on the input. So (3) is not a chain rule. What is meant is the backward pass one layer
# further: $\partial E/\partial x_i = \sum_j w_{ij} \, \partial E/\partial a_j$, where $a_j$ are the hidden units'
# inputs.

# %% [markdown]
# ## Break it on purpose: the mean over the batch
#
# A training loop has the *mean* loss of a batch. Its gradient in $x$ has the shape of the whole batch, and looks like
# one gradient per sample. **Predict:** for a batch of 50, how far does a sample move, compared with moving alone?

# %%
rng = np.random.default_rng(5)
inputs = rng.uniform(0.5, 2.5, (50, 3))
targets = rng.uniform(-1.5, 2.5, 50)
weights = np.array([1.5, -2.0, 0.5])
mean_loss = lambda x: (0.5 * (x @ weights - targets) ** 2).mean()
in_batch = tg.grad(mean_loss)(inputs).numpy()[0]
alone = tg.grad(lambda x: 0.5 * (x @ weights - targets[0]) ** 2)(inputs[0]).numpy()
print("alone:", alone, "   in the batch:", in_batch, "   ratio:", (alone / in_batch).round(6))

# %% [markdown]
# 50 times too little. The mean divides each sample's loss by 50. Nothing breaks, no shape is wrong. The images just do
# not move, and one concludes that the method has no effect.
#
# ### Exercise 4: from the batch's gradient to the moves
#
# `gradient` is the gradient of the batch's loss in $x$. `reduction` says how the loss was made from the samples'
# losses: "mean" or "sum". Return the moved batch.


# %% tags=["setup"]
def batch_case(seed, n, d, reduction):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2.5, (n, d)), rng.uniform(-2.5, 2.5, (n, d)), 0.2, reduction


def moved_by(r, x, gradient, rate, reduction, times):
    return np.allclose(r, x + times * rate * gradient)


BATCHES = [
    batch_case(1, 5, 3, "mean"),
    batch_case(2, 5, 3, "sum"),
    batch_case(3, 2, 7, "mean"),
    (*(a.reshape(4, 2, 3) for a in batch_case(4, 4, 6, "mean")[:2]), 0.1, "mean"),
]
BATCH_HOLDS = {
    "The result has the shape of x.": lambda r, x, *more: r.shape == x.shape,
    "x itself has changed. Return a new array.": lambda r, x, *more: not np.shares_memory(r, x),
    "The moves are n times too small: the mean has divided each sample's loss by n.": lambda r, x, g, rate, how: (
        how == "sum" or not moved_by(r, x, g, rate, how, 1)
    ),
    "The moves are n times too large: a sum does not divide.": lambda r, x, g, rate, how: (
        how == "mean" or not moved_by(r, x, g, rate, how, len(x))
    ),
    "The images go down their error. With a positive rate they climb.": lambda r, x, g, rate, how: (
        not moved_by(r, x, g, rate, how, -(len(x) if how == "mean" else 1))
    ),
    "The moves are multiplied by the wrong number: the samples are counted along the first axis.": (
        lambda r, x, g, rate, how: moved_by(r, x, g, rate, how, len(x) if how == "mean" else 1)
    ),
}


# %% tags=["exercise"]
@task(cases=BATCHES, holds=BATCH_HOLDS)
def moved_batch(x, gradient, rate, reduction):
    """x and gradient: (n, ...), rate: a number, reduction: "mean" or "sum". Return x + rate · ∂E_i/∂x_i."""
    raise NotImplementedError


lesson.check(moved_batch)

# %% [markdown] tags=["hint"]
# If the loss is a sum, row $i$ of the gradient is $\partial E_i/\partial x_i$ already.

# %% [markdown] tags=["hint"]
# If it is a mean, multiply by the number of samples, `len(x)`.


# %% tags=["solution"]
@task(cases=BATCHES, holds=BATCH_HOLDS)
def moved_batch(x, gradient, rate, reduction):
    """x and gradient: (n, ...), rate: a number, reduction: "mean" or "sum". Return x + rate · ∂E_i/∂x_i."""
    samples = len(x) if reduction == "mean" else 1
    return x + rate * samples * gradient


lesson.check(moved_batch)

# %% [markdown]
# ## On real digits
#
# Pixels are between 0 and 1 here. First we train a network as usual. Then we go on for six epochs, in three ways:
# without moves, with SGM, and with moves that start from the *original* image each time. We measure the accuracy, the
# accuracy under FGSM with $\varepsilon = 0.1$, and how far the images have moved on average.

# %%
digits = tg.data.load("digits")
x_train = (digits.x_train / 255).astype(np.float32)
x_test = (digits.x_test / 255).astype(np.float32)


def train(net, epochs, first=0, rate=0.0, stay=True):
    """Train the net, and move the images. stay: whether they stay moved. Return the images after each visit."""
    optimizer = nn.Adam(net.parameters(), lr=3e-3)
    images = x_train.copy()
    visits = [images.copy()]
    for epoch in range(first, first + epochs):
        for i in tg.data.batches(len(images), batch_size=50, seed=0, epoch=epoch):
            net.zero_grad()
            x = tg.Tensor(images[i], requires_grad=True)
            tg.cross_entropy(net(x), digits.y_train[i]).backward()
            moved = images[i] + np.float32(rate * len(i)) * x.grad.numpy()  # cross_entropy is a mean
            if stay:
                images[i] = moved
            elif rate:
                net.zero_grad()
                tg.cross_entropy(net(moved), digits.y_train[i]).backward()
            optimizer.step()
        visits.append(images.copy())
    return visits


def told(net, images):
    net.eval()
    clean = robust.accuracy(net, x_test, digits.y_test)
    attacked = robust.fgsm(net, x_test, digits.y_test, 0.1).adversarial
    under = robust.accuracy(net, attacked.numpy(), digits.y_test)
    distance = np.linalg.norm((images - x_train).reshape(len(images), -1), axis=1).mean()
    return f"accuracy {clean:.1%}   under FGSM {under:.1%}   moved by {distance:.2f}"


reference = nn.models.mlp(in_features=64, hidden=(48,), rng=0)
train(reference, 25)
print(f"{'reference':26}", told(reference, x_train))
size = np.linalg.norm(x_train.reshape(len(x_train), -1), axis=1).mean()
print(f"mean length of an image: {size:.2f}")

# %% [markdown]
# **Predict:** SGM moves each image six times. With which rate does it help: 0.02, 0.2, or both?

# %%
histories = {}
for rate, stay in [(0.0, True), (0.02, True), (0.2, True), (-0.2, True), (0.2, False)]:
    net = nn.models.mlp(in_features=64, hidden=(48,))
    net.load_state_dict(reference.state_dict())
    histories[rate, stay] = train(net, 6, first=25, rate=rate, stay=stay)
    print(
        f"λ = {rate:4}, {'images stay moved' if stay else 'from the original'}:   {told(net, histories[rate, stay][-1])}"
    )

# %% [markdown]
# With $\lambda = 0.02$ SGM helps: the accuracy under attack rises from about 25 % to about 40 %, and the images have
# moved only a little. With 0.2 it spoils the data: the images run away, as the factor $1 + \lambda w^2$ foretold, and
# the accuracy falls by almost 20 points. The network has learned from digits that are no digits any more. Moves that
# start from the original image each time do not add up. They can be ten times as large, and they help more. With a
# negative rate, the images become easier, and the network less robust.
#
# The paper uses $\lambda = 0.2$, with much larger networks and another optimizer, and its images move for 50 epochs.
# The size of a good rate depends on the unit of the pixels, which the text does not state. One seed and one small
# network prove nothing about the method. They do show what to look at: *how far have the images moved?*

# %% tags=["picture"]
figure, columns = plt.subplots(1, 4, figsize=(9, 2.6))
visits = histories[0.2, True]
lengths = np.linalg.norm((visits[6] - visits[0]).reshape(len(visits[0]), -1), axis=1)
which = np.argsort(lengths)[-len(lengths) // 10]  # a tenth of the images has moved further
shown = [images[which, 0] for images in visits]
for axes, visit in zip(columns, (0, 3, 6), strict=False):
    axes.imshow(shown[visit], cmap="gray", vmin=-0.5, vmax=1.5)
    axes.set_title(f"after {visit} visits", fontsize=10)
    axes.axis("off")
columns[3].imshow(shown[6] - shown[0], cmap="RdBu_r", vmin=-1, vmax=1)
columns[3].set_title("what has changed", fontsize=10)
columns[3].axis("off")
figure.tight_layout()
picture(
    figure,
    "A training digit after 0, 3 and 6 visits with the rate 0.2, and the difference between the last and the first. "
    "Patches of lighter and darker pixels grow over the digit from visit to visit.",
)

# %% [markdown]
# ## Summary
#
# * An input has a gradient like a weight. SGM moves each training image *up* its own error, and leaves it there.
# * To first order this is a penalty on $\lVert \partial E/\partial x \rVert^2$, and exactly half of it: the moved image
#   is held constant, so one of two equal factors gets no derivative.
# * The move of a sample comes from its own error. A mean over the batch makes it $n$ times too small, silently.
# * Moves that stay add up. Watch how far the images have gone.
#
# ## Quiz
#
# Questions 1 to 3 use $E = \frac12 (w x - t)^2$ with $w = 2$, $x = 3$, $t = 5$, and $\lambda = 0.25$.
#
# **1.** What are the moved $x$, the error before and after, and the error that (1) predicts?

# %% [markdown] tags=["answer"]
# $e = 1$ and $\partial E/\partial x = 2$, so $x' = 3.5$. $E$ goes from 0.5 to 2. Equation (1) predicts $0.5 + 0.25
# \cdot 4 = 1.5$.

# %% [markdown]
# **2.** What is the slope of $(\partial E/\partial x)^2$ in $w$? And what does the fixed route give?

# %% [markdown] tags=["answer"]
# $2 \cdot 2 \cdot (1 + 2 \cdot 3) = 28$, and half of it: 14.

# %% [markdown]
# **3.** By which factor does $e$ change at each visit, for $\lambda = 0.25$ and for $\lambda = -0.25$?

# %% [markdown] tags=["answer"]
# $1 \pm 0.25 \cdot 4$: 2, and 0. With the negative rate the image fits at once, and nothing has been learned.

# %% [markdown]
# **4.** The gradient is $(0.02, -1.5, 0)$, the rate 0.1. What are the moves of FGSM and of SGM?

# %% [markdown] tags=["answer"]
# $(0.1, -0.1, 0)$ and $(0.002, -0.15, 0)$.

# %% [markdown]
# **5.** Is $\frac{\partial E}{\partial x_i} = \frac{\partial E}{\partial w_{ij}} \frac{\partial w_{ij}}{\partial x_i}$
# a chain rule?

# %% [markdown] tags=["answer"]
# No. A weight does not depend on the input, so the right side is 0.

# %% [markdown]
# ## Further reading
#
# * A. Mosca and G. D. Magoulas, *Learning input features representations in deep learning*, 2017, and their paper on
#   the smooth gradient method, 2018: this lesson.
# * I. J. Goodfellow, J. Shlens and C. Szegedy, [Explaining and Harnessing Adversarial
#   Examples](https://arxiv.org/abs/1412.6572), ICLR 2015: FGSM.
# * H. Drucker and Y. LeCun, *Improving generalization performance using double backpropagation*, IEEE Transactions on
#   Neural Networks 1992: the penalty.
# * A. Madry and others, [Towards Deep Learning Models Resistant to Adversarial
#   Attacks](https://arxiv.org/abs/1706.06083), ICLR 2018: moves from the original image, with several steps.
#
# Next: lesson 12 makes such penalties fast. Each lesson stands alone.
