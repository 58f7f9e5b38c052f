# %% [markdown]
# # 5 Pooling, masks and shared indices
#
# **After this lesson you can**
#
# * write the backward rules of max pooling, average pooling and leaky ReLU, and have them checked;
# * say what the reverse of a pooling layer shares with the forward layer, and why it must share it;
# * push a direction through a pool, and say why that is not pooling;
# * add, where windows overlap, and choose, where two entries are equal.
#
# You need: the chain rule, NumPy indexing, and the word *cotangent*: how fast the final number changes when this variable
# changes. The lesson takes about 40 minutes. Where you see **Predict**, write your number down before you run the next
# cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("05_pooling")

# %% [markdown]
# ## A number to start with
#
# A max pool looks at a few neighbours and keeps the largest. Take the signal $x = (1, 5, 2, 4)$ and windows of two
# entries, moved by one: $(1, 5)$, $(5, 2)$, $(2, 4)$. So the result is $y = (5, 5, 4)$.
#
# Now let $x$ move in the direction $v = (10, 2, 30, 4)$. That is, $x$ becomes $x + 0.001 \, v$. **Predict:** how fast does
# each of the three results change? Many people pool $v$ and say $(10, 30, 30)$.

# %% tags=["setup"]
x = np.array([1.0, 5.0, 2.0, 4.0])
v = np.array([10.0, 2.0, 30.0, 4.0])


def pool(x, size=2):
    """The maximum of each window, moved by one. x: (d,); result: (d - size + 1,)."""
    return np.lib.stride_tricks.sliding_window_view(x, size).max(1)


# %%
print("pooled:", pool(x), "   change per step:", (pool(x + 0.001 * v) - pool(x)) / 0.001)

# %% [markdown]
# $(2, 2, 4)$. The first window keeps $x_1 = 5$. The neighbour $x_0 = 1$ moves fast, but it is far below, and nobody looks
# at it. So the first result moves as fast as $x_1$, which is 2. The second window keeps $x_1$ too. The third keeps $x_3$,
# which moves with speed 4.
#
# > A pool **chooses** once, at $x$. After that it only **takes**: the direction $v$ has no say in the choice.
#
# ## On or off: the mask
#
# The simplest choice in a network is that of ReLU: an entry is on or off. Leaky ReLU chooses between two slopes:
# $y = x$ where $x > 0$, and $y = s \cdot x$ elsewhere, with a small number $s$.
#
# **Predict:** $x = (3, -2, 0.5, -1)$, $s = 0.1$, and the cotangent of $y$ is $g = (-4, 5, 6, -7)$. What is the cotangent
# of $x$? Does the sign of $g$ matter?

# %%
x4 = np.array([3.0, -2.0, 0.5, -1.0])
g4 = np.array([-4.0, 5.0, 6.0, -7.0])
_, pullback = tg.vjp(lambda x: tg.leaky_relu(x, 0.1), x4)
print("cotangent of x:", pullback(g4)[0].numpy())

# %% [markdown]
# $(-4, 0.5, 6, -0.7)$: each entry of $g$ is multiplied by 1 where $x$ was positive, and by 0.1 elsewhere. We write a bar
# for "the cotangent of":
#
# $$\bar x = g \odot m, \qquad m_i = \begin{cases} 1 & x_i > 0 \\ s & \text{elsewhere} \end{cases} \tag{1}$$
#
# In words: *multiply each cotangent by the slope that was chosen in the forward pass.* The signs of $g$ choose nothing.
#
# ### Exercise 1: leaky ReLU


# %% tags=["exercise"]
@tg.derivation(of="leaky_relu")
def leaky_relu(g, x, slope):
    """g and x: (n, d), slope: a number. Return the cotangent of x."""
    raise NotImplementedError


lesson.check(leaky_relu)

# %% [markdown] tags=["hint"]
# `np.where(condition, a, b)` takes `a` where the condition is true, and `b` elsewhere. Which array is the condition about?

# %% [markdown] tags=["hint"]
# The condition is `x > 0`. Then the result is $g$, elsewhere it is `slope * g`.


# %% tags=["solution"]
@tg.derivation(of="leaky_relu")
def leaky_relu(g, x, slope):
    """g and x: (n, d), slope: a number. Return the cotangent of x."""
    return np.where(x > 0, g, slope * g)


lesson.check(leaky_relu)

# %% [markdown]
# ## Which one: the winners
#
# A pool makes a richer choice: *which one* of the window. Write down the place of the winner of each window. For
# $x = (1, 5, 2, 4)$ the winners are at the places $(1, 1, 3)$. These three whole numbers are all that has to be
# remembered. With them, the pool is a matrix near $x$:
#
# $$J = \begin{pmatrix} 0 & 1 & 0 & 0 \\ 0 & 1 & 0 & 0 \\ 0 & 0 & 0 & 1 \end{pmatrix}, \qquad
# (J v)_o = v_{\text{winner}(o)}. \tag{2}$$
#
# In words: *row $o$ has a single 1, at the winner of window $o$.* Rows are outputs, columns are inputs. $J v$ takes the
# entries of $v$ at the winners' places.
#
# ### Exercise 2: push a direction through a pool
#
# Write $v \mapsto J v$ for a signal, with windows of `size` entries that move by one. At a tie, the first of the largest
# entries wins.


# %% tags=["setup"]
def signal(*values):
    return np.array(values, dtype=np.float64)


def moved(x, v, size):
    """How fast the pooled values change: the slopes at a very small step."""
    return (pool(x + 2.0**-20 * v, size) - pool(x, size)) * 2.0**20


PUSHES = [
    (signal(1, 5, 2, 4), signal(10, 2, 30, 4), 2),
    (signal(-3, -1, -2, -5, -4), signal(5, -7, 2, 3, 9), 3),
    (signal(9, 2, 7, 3, 4, 6), signal(-2, 3, 8, -5, 4, 7), 3),
]
TRUE_OF_PUSH = {
    "That is the pool of v. The winners are chosen by x, not by v.": lambda d, x, v, size: (
        np.shape(d) != pool(v, size).shape or not np.allclose(d, pool(v, size))
    ),
    "That is the pool of x + v, or its change: a large step may change the winner.": lambda d, x, v, size: (
        not np.allclose(d, pool(x + v, size)) and not np.allclose(d, pool(x + v, size) - pool(x, size))
    ),
    "There is one number for each window.": lambda d, x, v, size: np.shape(d) == pool(x, size).shape,
    "Each number is v at the place where x is largest in the window.": lambda d, x, v, size: np.allclose(
        d, moved(x, v, size)
    ),
}


# %% tags=["exercise"]
@task(cases=PUSHES, holds=TRUE_OF_PUSH)
def push(x, v, size):
    """x and v: (d,). Return Jv of the pool at x, of shape (d - size + 1,)."""
    raise NotImplementedError


lesson.check(push)

# %% [markdown] tags=["hint"]
# The window `o` is `x[o : o + size]`, and `argmax()` of it says where in the window the winner stands.

# %% [markdown] tags=["hint"]
# `[x[o : o + size].argmax() + o for o in range(len(x) - size + 1)]` lists the winners' places in $x$.

# %% [markdown] tags=["hint"]
# NumPy takes several entries at once: `return v[winners]`


# %% tags=["solution"]
@task(cases=PUSHES, holds=TRUE_OF_PUSH)
def push(x, v, size):
    """x and v: (d,). Return Jv of the pool at x, of shape (d - size + 1,)."""
    winners = [x[o : o + size].argmax() + o for o in range(len(x) - size + 1)]
    return v[winners]


lesson.check(push)

# %% [markdown]
# ## Back through a pool
#
# Now the other direction. Each result $y_o$ brings its cotangent $g_o$. It goes to the winner of its window, and the other
# entries of the window get nothing. For $x = (1, 5, 2, 4)$ and $g = (2, 3, 7)$: the first window sends 2 to $x_1$, the
# second sends 3 to $x_1$, the third sends 7 to $x_3$.
#
# **Predict** the cotangent of $x$. The entry $x_1$ has won twice. Does it get 2, 3 or 5?

# %%
g = np.array([2.0, 3.0, 7.0])
layer = nn.MaxPool2d((1, 2), stride=(1, 1))  # windows of 1 row and 2 columns
rev = layer.trace(x.reshape(1, 1, 1, 4)).reverse()
print("winners:", rev.layer.indices.numpy().ravel())
print("cotangent of x:", rev(g.reshape(1, 1, 1, 3)).numpy().ravel())

# %% [markdown]
# $(0, 5, 0, 7)$. Whoever wins twice is *used* twice, and what is used twice gets the sum. A program that writes
# `dx[winner] = g` instead of adding gives $(0, 3, 0, 7)$: the second window erases what the first has brought.
#
# $$\bar x_i = \sum_{o \,:\, \text{winner}(o) = i} g_o \tag{3}$$
#
# In words: *each entry collects the cotangents of all windows that it has won.* This is $J^\mathsf{T} g$ with the matrix
# of (2). It is called **unpooling**.
#
# The picture shows all three passes. The circles are the winners. They are found once, in the forward pass on the left.
# The other two passes use the same circles.

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
wins = [1, 1, 3]
panels = [
    ("forward: choose the winners of x", [1, 5, 2, 4], [5, 5, 4], "up"),
    ("back: unpool g at the same places", [0, 5, 0, 7], [2, 3, 7], "down"),
    ("forward again: take v at the same places", [10, 2, 30, 4], [2, 2, 4], "up"),
]
for axis, (title, below, above, way) in zip(axes, panels, strict=True):
    for o, i in enumerate(wins):
        for seen in (o, o + 1):
            if seen != i:
                axis.plot([seen, o + 0.5], [0.15, 0.85], color="0.85", linewidth=1, zorder=0)
        start, end = ((i, 0.13), (o + 0.5, 0.87)) if way == "up" else ((o + 0.5, 0.87), (i, 0.13))
        axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "tab:blue", "lw": 2})
    for i, value in enumerate(below):
        ring = {"boxstyle": "circle,pad=0.3", "fc": "white", "ec": "tab:red" if i in wins else "white", "lw": 2}
        axis.text(i, 0, value, ha="center", va="center", fontsize=12, bbox=ring)
    for o, value in enumerate(above):
        axis.text(o + 0.5, 1, value, ha="center", va="center", fontsize=12)
    axis.set(xlim=(-0.6, 3.6), ylim=(-0.3, 1.2))
    axis.set_title(title, fontsize=10)
    axis.axis("off")
picture(
    figure,
    "Three drawings of four entries below and three windows above. The entries 1 and 3 are circled in all of them: they "
    "won. Forward, 1, 5, 2, 4 become 5, 5, 4. Back along the same arrows, 2, 3, 7 become 0, 5, 0, 7. Forward again along "
    "the same arrows, 10, 2, 30, 4 become 2, 2, 4.",
)

# %% [markdown]
# ### Exercise 3: max pooling
#
# For images: each window of `size` rows and `size` columns has one winner. Windows begin every `stride` pixels, so with a
# stride below the size they overlap. At a tie, the first largest entry wins, counted row by row. `argmax` does that.
#
# The loops over samples, channels and windows are given. Fill in what happens for one window.


# %% tags=["exercise"]
@tg.derivation(of="max_pool2d")
def max_pool2d(g, x, size, stride):
    """g: (n, c, oh, ow), x: (n, c, h, w). Return the cotangent of x, of its shape."""
    dx = np.zeros_like(x)
    for n, c, a, b in np.ndindex(g.shape):
        window = x[n, c, a * stride : a * stride + size, b * stride : b * stride + size]
        raise NotImplementedError("where did this window win, and what does that entry of dx[n, c] get?")
    return dx


lesson.check(max_pool2d)

# %% [markdown] tags=["hint"]
# `window.argmax()` counts through the rows: in a window of $3 \times 3$, the number 5 means row 1, column 2.

# %% [markdown] tags=["hint"]
# `i, j = np.unravel_index(window.argmax(), window.shape)` gives row and column inside the window. The window begins at row
# `a * stride` and column `b * stride` of the image.

# %% [markdown] tags=["hint"]
# `dx[n, c, a * stride + i, b * stride + j] += g[n, c, a, b]`


# %% tags=["solution"]
@tg.derivation(of="max_pool2d")
def max_pool2d(g, x, size, stride):
    """g: (n, c, oh, ow), x: (n, c, h, w). Return the cotangent of x, of its shape."""
    dx = np.zeros_like(x)
    for n, c, a, b in np.ndindex(g.shape):
        window = x[n, c, a * stride : a * stride + size, b * stride : b * stride + size]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, a * stride + i, b * stride + j] += g[n, c, a, b]
    return dx


lesson.check(max_pool2d)

# %% [markdown]
# ## When two are equal
#
# What if two entries of a window are equal? **Predict:** the window is $(6, 6, 3)$ and the cotangent is 5. Do both largest
# entries get 5? Half each? Only one?

# %%
tie = np.array([6.0, 6.0, 3.0])
first = tg.vjp(lambda x: tg.max_pool2d(x.reshape(1, 1, 3), (1, 3)).sum(), tie)[1](np.array(5.0))[0]
shared = tg.vjp(tg.max, tie)[1](np.array(5.0))[0]
print("max pool:", first.numpy(), "   tg.max:", shared.numpy())

# %% [markdown]
# Both are in use. A pool has whole-number places, so it gives everything to the first. `tg.max` shares equally. Giving 5
# to *both* would be wrong: then the loss would seem to change twice as fast as it does. At a tie there is no derivative,
# and lesson 7 says what one does then. Ties are not rare: in an image, the background is the same number everywhere.
#
# ## The mean needs no memory
#
# Average pooling takes the mean of each window. **Predict:** windows of two entries, moved by one, on any signal of four
# entries. The cotangent is $g = (2, 3, 7)$. What is the cotangent of $x$? What must be remembered of $x$?

# %%
average = nn.AvgPool2d((1, 2), stride=(1, 1)).trace(x.reshape(1, 1, 1, 4)).reverse()
print(average(g.reshape(1, 1, 1, 3)).numpy().ravel())

# %% [markdown]
# $(1, 2.5, 5, 3.5)$: every window of two gives half of its cotangent to each of its entries, and where windows overlap
# the halves add. The values of $x$ play no role. Average pooling is linear; it chooses nothing, so nothing is
# remembered but the sizes.
#
# ### Exercise 4: average pooling


# %% tags=["exercise"]
@tg.derivation(of="avg_pool2d")
def avg_pool2d(g, x, size, stride):
    """g: (n, c, oh, ow), x: (n, c, h, w). Return the cotangent of x, of its shape."""
    dx = np.zeros_like(x)
    for a in range(g.shape[2]):
        for b in range(g.shape[3]):
            place = np.s_[:, :, a * stride : a * stride + size, b * stride : b * stride + size]
            raise NotImplementedError("what does this window bring to dx[place], of shape (n, c, size, size)?")
    return dx


lesson.check(avg_pool2d)

# %% [markdown] tags=["hint"]
# How many entries does a window of `size` rows and `size` columns have?

# %% [markdown] tags=["hint"]
# `g[:, :, a, b]` has the shape $(n, c)$. With `[:, :, None, None]` behind it, it fits to $(n, c, size, size)$.

# %% [markdown] tags=["hint"]
# `dx[place] += g[:, :, a, b][:, :, None, None] / size**2`


# %% tags=["solution"]
@tg.derivation(of="avg_pool2d")
def avg_pool2d(g, x, size, stride):
    """g: (n, c, oh, ow), x: (n, c, h, w). Return the cotangent of x, of its shape."""
    dx = np.zeros_like(x)
    for a in range(g.shape[2]):
        for b in range(g.shape[3]):
            place = np.s_[:, :, a * stride : a * stride + size, b * stride : b * stride + size]
            dx[place] += g[:, :, a, b][:, :, None, None] / size**2
    return dx


lesson.check(avg_pool2d)

# %% [markdown]
# ## The reverse of the reverse
#
# Unpooling is a function, too: it puts the entries of $y$ at the winners' places, and zeros elsewhere. If a loss contains
# the backward pass (lessons 3 and 9), we must go back through unpooling. **Predict:** what is the backward rule of
# *putting*? Many people say: the reverse of unpooling is pooling.
#
# Try it. Put $(5, -2)$ at the places 1 and 2 of four: $(0, 5, -2, 0)$. The windows are the first two and the last two
# entries. What does a max pool give? What do you get by taking the entries at the places 1 and 2?

# %%
put = np.array([0.0, 5.0, -2.0, 0.0])
print("pooled:", put.reshape(2, 2).max(1), "   taken at the places:", put[[1, 2]])

# %% [markdown]
# The pool gives $(5, 0)$, because a zero is larger than $-2$. Taking gives back $(5, -2)$. So:
#
# > The adjoint of putting is **taking**: $y \mapsto$ put and $g \mapsto$ take at the same places. No maximum is computed.
#
# ### Exercise 5: back through unpooling
#
# Each plane of `y` has $h \times w$ entries, and each entry goes to a place in a plane of $2h \times 2w$. `at` holds
# these places as whole numbers, counted row by row through the large plane. Given the cotangent of the large plane,
# return the cotangent of `y`.


# %% tags=["exercise"]
@tg.derivation(of="unpool")
def unpool(g, y, at):
    """g: (n, c, 2h, 2w), y and at: (n, c, h, w). Return the cotangent of y, of its shape."""
    raise NotImplementedError


lesson.check(unpool)

# %% [markdown] tags=["hint"]
# For one plane: `g[n, c].ravel()` is a long row, in which `at[n, c]` counts.

# %% [markdown] tags=["hint"]
# With a loop: `for n, c in np.ndindex(y.shape[:2]): dy[n, c] = g[n, c].ravel()[at[n, c]]`, where `dy` begins as zeros.


# %% tags=["solution"]
@tg.derivation(of="unpool")
def unpool(g, y, at):
    """g: (n, c, 2h, 2w), y and at: (n, c, h, w). Return the cotangent of y, of its shape."""
    dy = np.zeros_like(y)
    for n, c in np.ndindex(y.shape[:2]):
        dy[n, c] = g[n, c].ravel()[at[n, c]]
    return dy


lesson.check(unpool)

# %% [markdown]
# ## Shared places in the library
#
# In tinygrad2 the reverse layer of a pool holds these whole numbers. When a convolution is followed by ReLU and a pool,
# one field serves all three. It is called `at`. For each window it says which entry has won, or $-1$ if ReLU has
# switched the winner off. **Predict:** a convolution gives 2 channels of $4 \times 4$, 32 numbers. Windows are
# $2 \times 2$ and do not overlap. How many of the 32 numbers does the backward pass need a cotangent for?

# %%
net = nn.Sequential(conv=nn.Conv2d(1, 2, 3, rng=0), relu=nn.ReLU(), pool=nn.MaxPool2d(2)).astype(np.float64)
image = np.random.default_rng(4).standard_normal((1, 1, 6, 6))
trace = net.trace(image)
rev = trace.reverse()
print(rev)
at = rev.layer.steps[0].reverse.at
print("at:", at.numpy().tolist())

# %% [markdown]
# Eight: one for each window. (Where `at` is $-1$, not even that one.) The other numbers have the cotangent 0, and the
# library does not compute with them at all. The last column of the table says what is shared: the weights of the convolution, the places
# `at`, and the geometry.
#
# Is this reverse network right? Lesson 2's test says so without any matrix: go forward with $v$ and back with $u$.

# %%
u = np.random.default_rng(1).standard_normal(trace.output.shape)
v_image = np.random.default_rng(2).standard_normal(image.shape)
print("⟨u, J v⟩:", (rev.reverse()(v_image) * u).sum().item(), "  ⟨Jᵀu, v⟩:", (rev(u) * v_image).sum().item())

# %% [markdown]
# ## On a real digit
#
# Take a digit of $8 \times 8$ pixels, look for edges, and pool. The circles are the places that won and that ReLU has left
# on. **Predict:** of the 36 numbers behind the convolution, for at most how many is the cotangent not zero?

# %%
digits = tg.data.load("digits")
digit = digits.x_train[4:5].astype(np.float64) / digits.x_train.max()
edges = nn.Sequential(conv=nn.Conv2d(1, 1, 3, bias=False), relu=nn.ReLU(), pool=nn.MaxPool2d(2)).astype(np.float64)
edges.load_state_dict({"conv.weight": [[[[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]]]]})
backward = edges.trace(digit).reverse()
won = backward.layer.steps[0].reverse.at.numpy().ravel()
print("places:", won.tolist(), "   on:", int((won >= 0).sum()), "of 36")

# %% tags=["picture"]
response = edges["conv"](tg.Tensor(digit)).numpy()[0, 0]
to_image = backward(np.full((1, 1, 3, 3), 5.0)).numpy()[0, 0]
figure, axes = plt.subplots(1, 3, figsize=(9, 3))
for axis, (title, values) in zip(
    axes,
    [("the digit", digit[0, 0]), ("its edges, winners circled", response), ("the cotangent of the digit", to_image)],
    strict=True,
):
    largest = np.abs(values).max()
    axis.imshow(values, cmap="RdBu", vmin=-largest, vmax=largest)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
for place in won[won >= 0]:
    axes[1].add_patch(plt.Circle((place % 6, place // 6), 0.42, fill=False, color="black", linewidth=2))
for line in (1.5, 3.5):
    axes[1].axhline(line, color="0.6", linewidth=1)
    axes[1].axvline(line, color="0.6", linewidth=1)
picture(
    figure,
    "A digit of 8 by 8 pixels; its edges, 6 by 6, cut into nine windows of 2 by 2 with at most one circle in each; and the "
    "cotangent of the digit, where a copy of the 3 by 3 kernel is laid back for each circle.",
)

# %% [markdown]
# ## Break it on purpose: choose again on the way back
#
# A tempting program keeps no places. It takes "the reverse of the reverse pools again" for true. Its author tests it on
# the first example: $\bar x = (0, 5, 0, 7)$ with $g = (2, 3, 7)$. **Predict:** does the test notice? And with
# $g = (2, 3, -7)$?

# %%
for g_test in (np.array([2.0, 3.0, 7.0]), np.array([2.0, 3.0, -7.0])):
    unpooled = np.array([0.0, g_test[0] + g_test[1], 0.0, g_test[2]])
    print("x̄:", unpooled, "   taken at the winners:", unpooled[[1, 1, 3]], "   pooled again:", pool(unpooled))

# %% [markdown]
# With positive numbers both give $(5, 5, 7)$: the mistake is invisible. With $-7$ the right answer is $(5, 5, -7)$, and
# pooling again gives $(5, 5, 0)$. A training with a gradient penalty would run, would be slightly wrong in every step, and
# nobody would see it. The cure is to share the places.
#
# ## Summary
#
# * ReLU chooses on or off, a pool chooses which one. The choice is made once, by $x$, in the forward pass.
# * Back: each cotangent goes to the winner, and what meets at one entry adds up. Forward with a direction: take it at the
#   winners' places. The direction and the cotangent choose nothing.
# * The mean chooses nothing. Its reverse needs only the sizes.
# * At a tie, our pools take the first, and `tg.max` shares. Both keep the sum.
# * The adjoint of putting is taking. It is not pooling.
#
# ## Quiz
#
# **1.** $x = (4, 9, 2, 7, 1)$, windows of three, moved by one, max pool, $g = (1, 2, 4)$. What is $\bar x$?

# %% [markdown] tags=["answer"]
# $(0, 3, 0, 4, 0)$: 9 wins the first two windows, 7 wins the last.

# %% [markdown]
# **2.** Average pool, windows of two, moved by two, $g = (6, -2)$. What is $\bar x$?

# %% [markdown] tags=["answer"]
# $(3, 3, -1, -1)$.

# %% [markdown]
# **3.** $x = (3, 3, 3)$, windows of two, moved by one, max pool, $g = (5, 7)$. What is $\bar x$?

# %% [markdown] tags=["answer"]
# $(5, 7, 0)$: in each window the first of the equal entries wins.

# %% [markdown]
# **4.** ReLU, then a max pool with windows of two, moved by two, on $(-3, -1, 2, -5)$. $g = (5, 7)$. What is $\bar x$?

# %% [markdown] tags=["answer"]
# $(0, 0, 7, 0)$. In the first window ReLU has switched both entries off, so 5 reaches nobody.

# %% [markdown]
# **5.** Which of these does the backward pass of a max pool need: the values of $x$, the values of $y$, the winners'
# places, the sign of $g$?

# %% [markdown] tags=["answer"]
# The winners' places only (and the sizes).

# %% [markdown]
# Run the next cell to compare your answers to questions 1 to 4.


# %%
def back(f, values, g):
    """The cotangent of a signal of one row, when that of f's result is g."""
    row = np.array(values, dtype=np.float64).reshape(1, 1, -1)
    return tg.vjp(f, row)[1](np.array(g, dtype=np.float64).reshape(1, 1, -1))[0].numpy().ravel()


print("1:", back(lambda x: tg.max_pool2d(x, (1, 3), stride=1), [4, 9, 2, 7, 1], [1, 2, 4]))
print("2:", back(lambda x: tg.avg_pool2d(x, (1, 2), stride=2), [4, 9, 2, 7], [6, -2]))
print("3:", back(lambda x: tg.max_pool2d(x, (1, 2), stride=1), [3, 3, 3], [5, 7]))
print("4:", back(lambda x: tg.max_pool2d(tg.relu(x), (1, 2), stride=2), [-3, -1, 2, -5], [5, 7]))

# %% [markdown]
# ## Further reading
#
# * M. D. Zeiler and R. Fergus, [Visualizing and Understanding Convolutional Networks](https://arxiv.org/abs/1311.2901),
#   2013: the "switches" of a pool are kept and shared, to draw what a unit has seen.
# * Y. LeCun and others, *Gradient-based learning applied to document recognition*, Proceedings of the IEEE 1998: pools that
#   take means.
# * J. Zhao, M. Mathieu, R. Goroshin and Y. LeCun, [Stacked What-Where Auto-encoders](https://arxiv.org/abs/1506.02351),
#   2015: the "where" is kept and shared.
#
# Next: lesson 6 checks Jacobians, and says what a check can see. Each lesson stands alone.
