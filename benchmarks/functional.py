"""The same losses for libraries that differentiate functions of arrays: torch.func, JAX and HIPS autograd.

A library fills in what it names differently; the formulas below are then the same for all three. p are the parameters,
x: (N, C, H, W), z: (N, K) the logits; `vjp(f, x)` is f(x) and the function u -> uᵀ ∂f/∂x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.setting import DEFENSE

Back = Callable[[Any], Any]


class Losses:
    """Losses of (p, x, labels); all but the first differentiate inside."""

    xp: Any  # the library's array functions
    vjp: Callable[[Callable[[Any], Any], Any], tuple[Any, Back]]
    constant: Callable[[Any], Any]  # the value alone, not differentiated

    def logits(self, p: Any, x: Any) -> Any:
        """z = net(x) with the parameters p."""
        raise NotImplementedError

    def rows(self, back: Back, u: Any) -> Any:
        """(K, N, ...): `back` of each of the cotangents u: (K, N, K)."""
        raise NotImplementedError

    def losses(self) -> dict[str, Callable[[Any, Any, Any], Any]]:
        """The names of this project's steps, and the function of each."""
        return {
            "cross-entropy": self.plain,
            "input gradient": self.input_gradient,
            "l1": self.l1,
            "logit margin": self.logit_margin,
            "jacobian": self.jacobian,
            "deep defense": self.deep_defense,
        }

    def one_hot(self, k: Any, like: Any) -> Any:
        """(N, K)"""
        return self.xp.eye(like.shape[1], dtype=like.dtype)[k]

    def errors(self, z: Any, labels: Any) -> Any:
        """Cross-entropy of each sample (N,)."""
        z = z - self.xp.amax(self.constant(z), 1)[:, None]
        return self.xp.log(self.xp.exp(z).sum(1)) - (z * self.one_hot(labels, z)).sum(1)

    def plain(self, p: Any, x: Any, labels: Any) -> Any:
        return self.errors(self.logits(p, x), labels).mean()

    def input_gradient(self, p: Any, x: Any, labels: Any) -> Any:
        errors, back = self.vjp(lambda x: self.errors(self.logits(p, x), labels), x)
        g = back(self.xp.ones_like(self.constant(errors)))
        return errors.mean() + (g * g).sum() * (0.5 / len(x))

    def l1(self, p: Any, x: Any, labels: Any) -> Any:
        z, back = self.vjp(lambda x: self.logits(p, x), x)
        return self.errors(z, labels).mean() + abs(back(self.xp.ones_like(self.constant(z)))).mean()

    def logit_margin(self, p: Any, x: Any, labels: Any) -> Any:
        z, back = self.vjp(lambda x: self.logits(p, x), x)
        true = self.one_hot(labels, z)
        fixed = self.constant(z)
        g = back(self.one_hot((fixed - 1e30 * true).argmax(1), z) - true)
        return self.errors(z, labels).mean() + (g * g).sum() * (1 / len(x))

    def jacobian(self, p: Any, x: Any, labels: Any) -> Any:
        z, back = self.vjp(lambda x: self.logits(p, x), x)
        j = self.rows(back, self.all_classes(z))
        return self.errors(z, labels).mean() + (j * j).sum() ** 0.5 * 0.1

    def all_classes(self, z: Any) -> Any:
        """One-hot cotangents of every class for every sample, (K, N, K)."""
        k = z.shape[1]
        return self.xp.eye(k, dtype=z.dtype)[:, None, :] * self.xp.ones((k, len(z), 1), dtype=z.dtype)

    def deep_defense(self, p: Any, x: Any, labels: Any, max_iter: int = 5, overshoot: float = 0.02) -> Any:
        """The walk keeps all samples to the end, for a compiler wants fixed shapes; those that arrived stay put."""
        point = x
        r = x * 0
        active = labels >= 0
        logits = self.logits(p, x)
        first = source = self.constant(logits).argmax(1)
        for _ in range(max_iter):
            z, back = self.vjp(lambda x: self.logits(p, x), point)
            source = self.xp.where(first == labels, source, self.constant(z).argmax(1))
            towards = self.xp.where(first == labels, self.nearest(p, self.constant(point), source), labels)
            u = self.one_hot(towards, z) - self.one_hot(source, z)
            w = back(u)
            rate = abs((z * u).sum(1)) / ((w * w).sum((1, 2, 3)) + ~active)  # w may be 0 where a sample has arrived
            step = rate[:, None, None, None] * w
            r = self.xp.where(active[:, None, None, None], r + step, r)
            moved = self.constant(self.logits(p, x + (1 + overshoot) * r)).argmax(1)
            active = active & self.xp.where(first == labels, moved == first, moved != labels)
            point = x + r
        rho = ((1 + overshoot) ** 2 * (r * r).sum((1, 2, 3)) / (x * x).sum((1, 2, 3))) ** 0.5
        rate = self.xp.where(first == labels, -DEFENSE["c"], DEFENSE["d"])
        return self.errors(logits, labels).mean() + self.xp.exp(rate * rho).mean() * DEFENSE["lam"]

    def nearest(self, p: Any, point: Any, source: Any) -> Any:
        """The class with the nearest linearised boundary (N,)."""
        z, back = self.vjp(lambda x: self.logits(p, x), point)
        j = self.constant(self.rows(back, self.all_classes(z)))
        at = self.one_hot(source, z)
        z = self.constant(z)
        own = (j * at.T[:, :, None, None, None]).sum(0)
        length = ((j - own) ** 2).sum((2, 3, 4)).T ** 0.5
        return (abs(z - (z * at).sum(1)[:, None]) / (length + at) + 1e30 * at).argmin(1)
