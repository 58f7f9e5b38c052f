# %% [markdown]
# # 1 The tape
#
# **After this lesson you can**
#
# * say what a cotangent is, in words and in numbers;
# * write the backward rule of a function, and have it checked;
# * explain why a backward pass needs an order, and write the order;
# * say what happens to whatever is used twice: its contributions add up.
#
# You need: the chain rule, and a little NumPy. The lesson takes about 40 minutes. Run the cells from top to bottom with
# Shift + Enter. Where you see **Predict**, write your number down before you run the next cell. A wrong prediction
# teaches more than a right one.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("01_tape")

# %% [markdown]
# ## A number to start with
#
# Take $x = 3$. Compute $a = x \cdot x$, then $b = a \cdot a$. So $b = x^4 = 81$, and its derivative is
# $4x^3 = 108$.
#
# Below, a program does the same. A `Node` is a number that remembers how it was made. For each number that it was made
# from, it keeps the *slope*: how fast the result changes when that number changes. For $a = x \cdot x$ there are two
# such entries, one for the left $x$ and one for the right $x$, each with slope 3. `backward` then walks from the result
# back to $x$.


# %% tags=["setup"]
class Node:
    """A number, and what it was made from: pairs (node, slope)."""

    def __init__(self, value, made_from=()):
        self.value = value
        self.made_from = made_from
        self.cotangent = 0.0

    def __add__(self, other):
        return Node(self.value + other.value, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Node(self.value * other.value, [(self, other.value), (other, self.value)])


# %%
def backward(node):
    for source, slope in node.made_from:
        source.cotangent += slope * node.cotangent
    for source, _ in node.made_from:
        backward(source)


# %% [markdown]
# It is short, and every line looks right. **Predict:** does it give 108, or something else?

# %%
x = Node(3.0)
a = x * x
b = a * a
b.cotangent = 1.0
backward(b)
print("by the program:", x.cotangent, "   by the formula:", 4 * 3.0**3)

# %% [markdown]
# 216 is wrong, and it is exactly twice the right number. Keep the question *where does the 2 come from?* in mind.
# We answer it in the section "In which order?". First we need the word that the program already uses: cotangent.
#
# ## What a cotangent is
#
# Imagine a long computation that ends in one number, the loss. Somewhere in it stands $y = x^2$ with $x = 3$. Suppose
# that somebody has already worked out the part after $y$, and tells you: "if $y$ grows by a little, the loss grows by 5
# times as much." This 5 is the **cotangent** of $y$. We call it $g$.
#
# Now let $x$ grow by 0.001. Then $y$ grows by about $2 \cdot 3 \cdot 0.001 = 0.006$. So the loss grows by
# $5 \cdot 0.006 = 0.030$. That is 30 times as much as $x$ has grown. So the cotangent of $x$ is 30.
#
# In symbols, for any $y = f(x)$ of one number:
#
# $$\bar x = g \cdot f'(x) \tag{1}$$
#
# In words: *the cotangent of the input is the cotangent of the output times the slope.* The bar over a letter means
# "the cotangent of". A **backward rule** is a function that gets $g$ and the inputs, and returns the cotangents of the
# inputs. It knows nothing of the rest of the computation. The rest is hidden in $g$.
#
# The rule for an array is the same, entry by entry: here $y$ has the shape of $x$, and so has $g$.
#
# ### Exercise 1: the square
#
# Write the backward rule of $y = x^2$. Replace the line that says `raise`, and run the cell. The checker tries your
# rule on many random arrays. If it is wrong, it says what is wrong.


# %% tags=["exercise"]
@tg.derivation(of=lambda x: x * x, axes="n d")
def square(g, x):
    """g and x: (n, d). Return the cotangent of x, of the same shape."""
    raise NotImplementedError


lesson.check(square)

# %% [markdown] tags=["hint"]
# In the example above, $x = 3$ and $g = 5$ gave 30. Which formula gives 30?

# %% [markdown] tags=["hint"]
# The slope of $x^2$ is $2x$. Use (1).

# %% [markdown] tags=["hint"]
# `return g * 2 * x`


# %% tags=["solution"]
@tg.derivation(of=lambda x: x * x, axes="n d")
def square(g, x):
    """g and x: (n, d). Return the cotangent of x, of the same shape."""
    return g * 2 * x


lesson.check(square)

# %% [markdown]
# Did you look at the line *Would an all-ones cotangent have caught it?* when you had a wrong answer? The rule `2 * x`
# forgets $g$. A test that always uses $g = 1$ can never notice that. This is why the checker uses random cotangents,
# and why you should, too.
#
# ## Two inputs: the product
#
# Let $y = a \cdot b$ with $a = 2$ and $b = -3$, and let $g = 5$. If only $a$ grows by 0.001, then $y$ changes by
# $-3 \cdot 0.001$, and the loss by $5 \cdot (-3) \cdot 0.001$. So $\bar a = -15$. **Predict** $\bar b$.

# %% [markdown] tags=["answer"]
# $\bar b = g \cdot a = 5 \cdot 2 = 10$. Each factor is the slope of the other.

# %% [markdown]
# ### Exercise 2: the product
#
# Here the rule returns two cotangents, in the order of the inputs.


# %% tags=["exercise"]
@tg.derivation(of=lambda a, b: a * b, axes="n d, n d")
def product(g, a, b):
    """g, a, b: (n, d). Return the cotangents of a and of b."""
    raise NotImplementedError


lesson.check(product)

# %% [markdown] tags=["hint"]
# Hold $b$ still. What is then the slope of $a \cdot b$ as a function of $a$?

# %% [markdown] tags=["hint"]
# $\bar a = g \cdot b$. Write the other by symmetry, and return both: `return ..., ...`


# %% tags=["solution"]
@tg.derivation(of=lambda a, b: a * b, axes="n d, n d")
def product(g, a, b):
    """g, a, b: (n, d). Return the cotangents of a and of b."""
    return g * b, g * a


lesson.check(product)

# %% [markdown]
# ## In which order?
#
# Back to 216. The node $a$ is used twice in $b = a \cdot a$. So two arrows lead from $b$ back to $a$. Each brings
# $9$, and the cotangent of $a$ is $9 + 9 = 18$. This is right: $\mathrm{d}b/\mathrm{d}a = 2a = 18$.
#
# Then the program calls `backward(a)`. It calls it *twice*, once for each arrow. Each call sends the full 18 on to $x$.
# This is where the 2 comes from: $2 \cdot 18 \cdot (3 + 3) = 216$.
#
# One way out is to follow each path from the result to $x$ alone, and add up at the end. Then nothing is counted twice:


# %%
def along_paths(node, g):
    """Add g to the node's cotangent, and send it on. Return how many nodes were visited."""
    node.cotangent += g
    return 1 + sum(along_paths(source, slope * g) for source, slope in node.made_from)


x = Node(3.0)
a = x * x
b = a * a
visits = along_paths(b, 1.0)
print("cotangent of x:", x.cotangent, "   visits:", visits)

# %% [markdown]
# 108 is right. But look at the price. Double a number 20 times: `x = x + x`, again and again. The computation has 21
# nodes. **Predict:** how many visits do the paths need? 21, about 40, or more?

# %%
x = Node(1.0)
y = x
for _ in range(20):
    y = y + y
print("visits:", f"{along_paths(y, 1.0):,}", "   cotangent of x:", f"{x.cotangent:,.0f}")

# %% [markdown]
# Every doubling has two arrows, so there are $2^{20}$ paths. A network has millions of paths. So we want to visit each
# node once, and it must be at the right moment: *when all its arrows are in*. Then its cotangent is complete, and it
# can be sent on once.
#
# > **The rule of the order.** A node is visited after every node that was made from it.
#
# Look at the picture. The values are computed from left to right. The cotangents come back from right to left. The node
# $s$ has to wait for both $e$ and $f$.

# %% tags=["picture"]
places = {"a": (0, 1), "b": (0, -1), "s = a + b": (1.3, 1), "p = a b": (1.3, -1)}
places |= {"e = s + p": (2.9, 1), "f = s p": (2.9, -1), "y = e + f": (4.2, 0)}
values = dict(zip(places, (2, 3, 5, 6, 11, 30, 41), strict=True))
cotangents = dict(zip(places, (25, 19, 7, 6, 1, 1, 1), strict=True))
arrows = {"s = a + b": "ab", "p = a b": "ab", "e = s + p": "sp", "f = s p": "sp", "y = e + f": "ef"}
figure, axes = plt.subplots(figsize=(9, 3.6))
for end, starts in arrows.items():
    for start in starts:
        begin = next(place for name, place in places.items() if name[0] == start)
        axes.annotate(
            "",
            places[end],
            begin,
            arrowprops={"arrowstyle": "->", "color": "0.5", "shrinkA": 32, "shrinkB": 32},
        )
for name, (across, up) in places.items():
    axes.text(across, up, name, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white", "ec": "0.3"})
    axes.text(across, up + 0.36, values[name], ha="center", color="tab:blue")
    axes.text(across, up - 0.52, cotangents[name], ha="center", color="tab:red")
axes.set(xlim=(-0.5, 4.8), ylim=(-1.8, 1.7))
axes.set_title("blue: values, computed from left to right; red: cotangents, from right to left", fontsize=10)
axes.axis("off")
picture(
    figure,
    "A diagram. a = 2 and b = 3 give s = a + b = 5 and p = a b = 6; these give e = s + p = 11 and f = s p = 30; "
    "y = e + f = 41. The cotangents from right to left: y 1, e 1, f 1, s 7, p 6, a 25, b 19.",
)

# %% [markdown]
# Check one number by hand: $\bar s$ gets $1 \cdot 1$ from $e$, and $1 \cdot p = 6$ from $f$. Together 7.
#
# ### Exercise 3: the order
#
# Write a function that lists the nodes in such an order. It starts with the last node, the result. Each node that takes
# part comes once.


# %% tags=["setup"]
def power_of_four():
    x = Node(3.0)
    a = x * x
    return a * a


def crossing():
    a = Node(2.0)
    b = Node(3.0)
    s = a + b
    p = a * b
    return (s + p) + s * p


def shortcut():
    x = Node(2.0)
    y = x * x
    z = y * y
    return z * x


def doublings():
    y = Node(1.0)
    for _ in range(12):
        y = y + y
    return y


def all_of(last):
    """Every node that takes part, in no useful order."""
    found = {id(last): last}
    waiting = [last]
    while waiting:
        for source, _ in waiting.pop().made_from:
            if id(source) not in found:
                found[id(source)] = source
                waiting.append(source)
    return list(found.values())


def too_early(nodes):
    """Whether some node stands before a node that was made from it."""
    place = {id(node): i for i, node in enumerate(nodes)}
    return any(place[id(source)] < place[id(node)] for node in nodes for source, _ in node.made_from)


CASES = [(power_of_four(),), (crossing(),), (shortcut(),), (doublings(),)]
HOLDS = {
    "The result is a list of nodes.": lambda nodes, last: all(isinstance(node, Node) for node in list(nodes)),
    "A node is listed twice. Each node comes once.": lambda nodes, last: len(nodes) == len(set(map(id, nodes))),
    "A node is missing.": lambda nodes, last: {id(n) for n in all_of(last)} <= set(map(id, nodes)),
    "The list begins with the result, and goes back from there.": lambda nodes, last: nodes[0] is last,
    "A node comes too early: before a node that was made from it.": lambda nodes, last: not too_early(nodes),
}


# %% tags=["exercise"]
@task(cases=CASES, holds=HOLDS)
def order(last):
    """last: a Node. Return the list of all nodes that take part, each after every node that was made from it."""
    raise NotImplementedError


lesson.check(order)

# %% [markdown] tags=["hint"]
# It is easier to make the opposite list first: each node after the nodes that *it* was made from. Then reverse it.

# %% [markdown] tags=["hint"]
# Visit a node like this: if it has been visited already, stop. Otherwise visit all the nodes that it was made from,
# then append the node itself to the list.

# %% [markdown] tags=["hint"]
# Keep a set `seen` of `id(node)`. An inner function `visit(node)` does the two steps of hint 2. At the end
# `return found[::-1]`.


# %% tags=["solution"]
@task(cases=CASES, holds=HOLDS)
def order(last):
    """last: a Node. Return the list of all nodes that take part, each after every node that was made from it."""
    found = []
    seen = set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for source, _ in node.made_from:
                visit(source)
            found.append(node)

    visit(last)
    return found[::-1]


lesson.check(order)

# %% [markdown]
# ### Break it on purpose
#
# What does the wrong program from the start do to the picture? It visits $s$ when only $e$ has answered, sends on what
# it has, and comes again later. **Predict:** is $\bar a$ too small or too large? The right numbers are 25 and 19.

# %%
result = crossing()
result.cotangent = 1.0
backward(result)
wrong = sorted(node.cotangent for node in all_of(result) if not node.made_from)
print("without order:", wrong[::-1], "   right:", [25.0, 19.0])

# %% [markdown]
# 29 and 22: too large. What $s$ and $p$ had received from $e$ was sent on twice. Such an error is hard to see: the signs
# are right, the sizes are almost right, and the loss may even go down for a while.
#
# ## The same with the library
#
# In tinygrad2 a `Tensor` is such a node, for whole arrays. The list of what was done is called the **tape**.
# `backward()` walks back along it, in the right order, and puts the cotangent of $x$ into `x.grad`.

# %%
x = tg.Tensor(np.array(3.0), requires_grad=True)
y = x * x
(y * y).backward()
print("x.grad:", x.grad)

# %% [markdown]
# **Predict:** we do the same a second time, with the same `x`. What is `x.grad` then?

# %%
y = x * x
(y * y).backward()
print("x.grad:", x.grad)

# %% [markdown]
# `backward()` *adds* to `x.grad`. This is useful when a batch comes in two halves. If you do not want it, set
# `x.grad = None` first. The function `tg.grad` keeps nothing, so it has no such memory:

# %%
print(tg.grad(lambda x: x**4)(np.array(3.0)), tg.grad(lambda x: x**4)(np.array(3.0)))

# %% [markdown]
# ## Used twice means: add
#
# You have seen it for $a$ in $a \cdot a$. It is the most useful sentence of this lesson:
#
# > **What is used several times gets several contributions, and they add up.**
#
# $$\bar x = \sum_{\text{uses } i} \bar x_i \tag{2}$$
#
# In words: *the cotangent of $x$ is the sum of what comes back from each place where $x$ is used.*
#
# **Predict:** $y = x + x^2 + 4x$ at $x = 5$. How many arrows lead back to $x$, and what is $\bar x$ for $g = 1$?

# %%
print(tg.grad(lambda x: x + x**2 + 4 * x)(np.array(5.0)))

# %% [markdown]
# Three terms use $x$: $1 + 2 \cdot 5 + 4 = 15$.
#
# ### Exercise 4: a curve that uses x twice
#
# $y = x \, e^{-x^2}$. The letter $x$ stands in the front, and in the exponent. Both are uses. Follow each one alone, and
# add.


# %% tags=["exercise"]
@tg.derivation(of=lambda x: x * np.exp(-x * x), axes="n d")
def bump(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    raise NotImplementedError


lesson.check(bump)

# %% [markdown] tags=["hint"]
# Call $q = e^{-x^2}$. Then $y = x q$ is a product, and you know its rule: the front $x$ gets $g q$, and $q$ gets $g x$.

# %% [markdown] tags=["hint"]
# The cotangent $g x$ of $q$ goes on to $x$. The slope of $q$ is $-2 x q$. So it brings $-2 x^2 q \cdot g$.

# %% [markdown] tags=["hint"]
# `q = np.exp(-x * x)`, then `return g * q + (g * x) * (-2 * x * q)`


# %% tags=["solution"]
@tg.derivation(of=lambda x: x * np.exp(-x * x), axes="n d")
def bump(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    q = np.exp(-x * x)
    return g * q - g * x * 2 * x * q


lesson.check(bump)

# %% [markdown]
# ## Broadcasting is also use
#
# A layer adds a bias $b$ to each row of $x$. Let $x$ have three rows, and let the cotangent of $y = x + b$ be
#
# $$g = \begin{pmatrix} 1 & 2 \\ 3 & -4 \\ 5 & 6 \end{pmatrix}.$$
#
# **Predict:** which shape has $\bar b$, and which numbers are in it? Two things are certain. A cotangent has the shape
# of its input. And $b$ was used three times.

# %%
x = np.array([[4.0, -1.0], [2.5, 3.0], [-2.0, 7.0]])
b = np.array([0.5, -1.5])
g = np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])
_, pullback = tg.vjp(lambda b: x + b, b)
print(pullback(g)[0].numpy())

# %% [markdown]
# $(1 + 3 + 5,\; 2 - 4 + 6) = (9, 4)$. Not the mean: nothing in $x + b$ divides by 3. (`tg.vjp` gives the value and a
# function, the *pullback*. It takes $g$ and returns the cotangents of the inputs.)
#
# ### Exercise 5: the bias
#
# $y = x + b$. Return the cotangent of $b$ only.


# %% tags=["exercise"]
@tg.derivation(of=lambda x, b: x + b, axes="n d, d", wrt="b")
def bias(g, x, b):
    """g and x: (n, d), b: (d,). Return the cotangent of b, of shape (d,)."""
    raise NotImplementedError


lesson.check(bias)

# %% [markdown] tags=["hint"]
# Each row of $x$ uses $b$ once. The contribution of row $i$ is row $i$ of $g$.

# %% [markdown] tags=["hint"]
# Add up the rows: `g.sum(...)` with which axis?


# %% tags=["solution"]
@tg.derivation(of=lambda x, b: x + b, axes="n d, d", wrt="b")
def bias(g, x, b):
    """g and x: (n, d), b: (d,). Return the cotangent of b, of shape (d,)."""
    return g.sum(axis=0)


lesson.check(bias)

# %% [markdown]
# ### A loss that broadcasts by accident
#
# Three predictions come out of a network as a column, shape $(3, 1)$. The three targets are a row, shape $(3,)$.
# **Predict:** how many squares does `np.mean((p - t) ** 2)` average?

# %%
p = np.array([[2.0], [4.0], [5.0]])
t = np.array([2.0, 3.0, 4.0])
print("meant:   ", np.mean((p[:, 0] - t) ** 2))
print("computed:", np.mean((p - t) ** 2), "  shape of p - t:", (p - t).shape)

# %% [markdown]
# Nine, not three. Every prediction is compared with every target, and no error is raised. When a loss behaves strangely,
# print shapes first.
#
# ### Exercise 6: the mean of squares
#
# The loss is $L = \frac{1}{n d} \sum (p - t)^2$ over all $n \cdot d$ entries. Return the cotangent of $p$. Here $L$ is
# one number, so $g$ is one number, too.


# %% tags=["exercise"]
@tg.derivation(of=lambda p, t: np.mean((p - t) ** 2), axes="n d, n d", wrt="p")
def mean_square(g, p, t):
    """g: a number; p and t: (n, d). Return the cotangent of p, of shape (n, d)."""
    raise NotImplementedError


lesson.check(mean_square)

# %% [markdown] tags=["hint"]
# The mean sends $g / (n d)$ to each square. What does a square do with it?

# %% [markdown] tags=["hint"]
# `p.size` is $n d$. The square of $p - t$ has the slope $2 (p - t)$.


# %% tags=["solution"]
@tg.derivation(of=lambda p, t: np.mean((p - t) ** 2), axes="n d, n d", wrt="p")
def mean_square(g, p, t):
    """g: a number; p and t: (n, d). Return the cotangent of p, of shape (n, d)."""
    return g * 2 * (p - t) / p.size


lesson.check(mean_square)

# %% [markdown]
# ### Exercise 7: a table of words
#
# A table holds one row of numbers for each word. A sentence is a list of row numbers, and a word can come twice:
# `rows = [2, 0, 2]` takes row 2, row 0, and row 2 again. So row 2 is used twice, and (2) says what to do.
#
# The names are those of the exercise "embedding" in the book: $y = $ `table[rows]`.


# %% tags=["exercise"]
@tg.derivation(of="embedding")
def embedding(g, table, rows):
    """g: (m, d), table: (v, d), rows: (m,) integers. Return the cotangent of the table, of shape (v, d)."""
    raise NotImplementedError


lesson.check(embedding)

# %% [markdown] tags=["hint"]
# Start with `d = np.zeros_like(table)`. A row that was not taken stays zero.

# %% [markdown] tags=["hint"]
# Careful: `d[rows] += g` looks right, but NumPy writes a repeated row only once. A loop `for i, row in enumerate(rows)`
# does it right. So does `np.add.at`.


# %% tags=["solution"]
@tg.derivation(of="embedding")
def embedding(g, table, rows):
    """g: (m, d), table: (v, d), rows: (m,) integers. Return the cotangent of the table, of shape (v, d)."""
    d = np.zeros_like(table)
    np.add.at(d, rows, g)
    return d


lesson.check(embedding)

# %% [markdown]
# ## Several outputs: which cotangent?
#
# Let $y = (x_0 x_1,\; x_0 + x_1)$ at $x = (2, 5)$. There are two outputs, so $g$ has two numbers. Write $J$ for the
# matrix of slopes. **Rows are outputs, columns are inputs**, here and in the whole course:
#
# $$J = \begin{pmatrix} x_1 & x_0 \\ 1 & 1 \end{pmatrix} = \begin{pmatrix} 5 & 2 \\ 1 & 1 \end{pmatrix},
# \qquad \bar x = J^\mathsf{T} g \tag{3}$$
#
# In words: *the backward pass multiplies $g$ by the transposed Jacobian; it adds up the rows of $J$, each times its
# entry of $g$.* This is why a backward rule is also called a **vector-Jacobian product**, or VJP.
#
# **Predict** the result for $g = (1, 1)$. Is it "the gradient of $y$"? And for $g = (3, -1)$?

# %%
_, pullback = tg.vjp(lambda x: tg.stack([x[0] * x[1], x[0] + x[1]]), np.array([2.0, 5.0]))
print(pullback(np.array([1.0, 1.0]))[0].numpy(), pullback(np.array([3.0, -1.0]))[0].numpy())

# %% [markdown]
# $(6, 3)$ is the gradient of the *sum* of the outputs. It hides how much each output contributes. $(14, 5)$ is a vector,
# not a matrix: one backward pass gives one combination of the rows.
#
# ## Break it on purpose: cut an arrow
#
# `tg.stop_gradient(x)` has the value of $x$, but no arrow leads back from it. (PyTorch calls it `detach`.)
# **Predict** the gradient of $x \cdot \mathrm{stop}(x)$ at $x = 3$. The value is 9, as for $x^2$. Is the gradient 6, 3
# or 0?

# %%
print(tg.grad(lambda x: x * tg.stop_gradient(x))(np.array(3.0)))

# %% [markdown]
# 3. Of the two arrows of a product, one is cut. The other still brings $g$ times the other factor. No error is raised,
# and 3 looks as good as 6. A `stop_gradient`, `detach` or `float(x)` in the wrong place is one of the most frequent
# silent errors. A check against a measured slope finds it:

# %%
f = lambda x: x * x
mine = lambda g, x: g * tg.grad(lambda x: (x * tg.stop_gradient(x)).sum())(x)
tg.check_vjp(f, mine, np.array([3.0, -2.0]))

# %% [markdown]
# ## Summary
#
# * A cotangent $g$ says how much the final number changes per unit of $y$. A backward rule turns it into the cotangents
#   of the inputs: $\bar x = g f'(x)$, or $\bar x = J^\mathsf{T} g$.
# * A node is visited once, after every node that was made from it. Without this order the result is wrong, or takes
#   forever.
# * What is used several times gets several contributions, and they add up. This holds for a repeated letter, for a bias
#   that is added to each row, and for a row of a table that is taken twice.
# * The tape records all this for you. A cut arrow makes no noise. Check against measured slopes.
#
# ## Quiz
#
# **1.** $y = x + x^2 + 4x$ at $x = 5$: what is $\bar x$ for $g = 1$?

# %% [markdown] tags=["answer"]
# 15. Three contributions: $1 + 10 + 4$.

# %% [markdown]
# **2.** A bias is added to three rows, and $g$ has the rows $(1, 2)$, $(3, -4)$, $(5, 6)$. What is $\bar b$?

# %% [markdown] tags=["answer"]
# $(9, 4)$: the sum of the rows.

# %% [markdown]
# **3.** $y = a + b$ with shapes $(2, 1)$ and $(1, 3)$. Which shapes have $\bar a$ and $\bar b$?

# %% [markdown] tags=["answer"]
# $(2, 1)$ and $(1, 3)$: the shapes of the inputs. $\bar a$ sums $g$ over its 3 columns, $\bar b$ over its 2 rows.

# %% [markdown]
# **4.** $y = x \cdot \mathrm{stop}(x) + x$ at $x = 3$: what does the tape give?

# %% [markdown] tags=["answer"]
# 4. The product brings 3 along the one arrow that is left, and the last term brings 1.

# %% [markdown]
# **5.** $y = (x_0 x_1,\; x_0 + x_1)$ at $(2, 5)$ with $g = (3, -1)$: what is $\bar x$?

# %% [markdown] tags=["answer"]
# $(14, 5) = 3 \cdot (5, 2) - 1 \cdot (1, 1)$.

# %% [markdown]
# ## Further reading
#
# * A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd edition, SIAM 2008, chapter 3: the reverse mode.
# * A. G. Baydin, B. A. Pearlmutter, A. A. Radul and J. M. Siskind,
#   [Automatic Differentiation in Machine Learning: a Survey](https://arxiv.org/abs/1502.05767), JMLR 2018.
# * D. E. Rumelhart, G. E. Hinton and R. J. Williams, *Learning representations by back-propagating errors*, Nature 1986.
#
# Next: lesson 2 makes a network out of the backward pass. Each lesson stands alone, so you can start anywhere.
