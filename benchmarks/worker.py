"""One side of a comparison in a process of its own, which answers questions over a pipe.

So no library's idle threads, caches or settings reach another one; its memory is its own; and it can be ended when it
takes too long.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.setting import Problem

CHECKED = 100  # images of an attack on which the sides must agree
TURN = 0.1  # seconds: short steps are repeated for so long in one turn, and the shortest is kept


class Kind(NamedTuple):
    """A side that can take part: its class, and what must be installed."""

    module: str
    name: str  # of the class in that module
    needs: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}  # that its users are advised to set
    compiles: bool = False  # every step, on its first call


SIDES = {
    # Idle OpenMP threads of one kernel would spin on the core that the next matrix product wants.
    "tinygrad2": Kind("ours", "Tinygrad2", variables={"GOMP_SPINCOUNT": "0"}),
    "PyTorch eager": Kind("torch_eager", "Torch", ("torch",)),
    "PyTorch is_grads_batched": Kind("torch_eager", "Batched", ("torch",)),
    "torch.func": Kind("torch_func", "Functional", ("torch",)),
    "torch.compile": Kind("torch_func", "Compiled", ("torch",), {"TORCHINDUCTOR_COMPILE_THREADS": "1"}, True),
    "JAX jit": Kind("jax_peer", "Jax", ("jax",), compiles=True),
    "HIPS autograd": Kind("autograd_peer", "Autograd", ("autograd",)),
    "foolbox": Kind("torch_eager", "Foolbox", ("torch", "foolbox")),
}


def missing() -> dict[str, str]:
    """side -> the packages it lacks here."""
    lacking = {name: [p for p in kind.needs if find_spec(p) is None] for name, kind in SIDES.items()}
    return {name: "needs " + ", ".join(packages) for name, packages in lacking.items() if packages}


class Unanswered(Exception):
    """Why a side gave no answer, in words for the report."""


class Worker:
    """A side in another process. After too long a silence the process is ended and `ended` says why."""

    def __init__(self, name: str, problem: Problem) -> None:
        self.name = name
        self.ended = ""
        kept = dict(os.environ)
        os.environ.update(SIDES[name].variables)  # the libraries read them when they are loaded, there
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, problem, theirs), daemon=True)
        self._process.start()
        theirs.close()
        os.environ.clear()
        os.environ.update(kept)
        self.steps: tuple[str, ...] = ()

    def ask(self, question: str, *arguments: Any, limit: float) -> Any:
        """The answer, an attribute of `Answers` called; raises Unanswered with the reason."""
        if self.ended:
            raise Unanswered(self.ended)
        try:
            self._pipe.send((question, arguments))
            if not self._pipe.poll(limit):
                self._end(f"over {limit:.0f} s in {' '.join(map(str, (question, *arguments)))}")
            answer, error = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._end("its process ended by itself")
        if error:
            raise Unanswered(error)
        return answer

    def _end(self, reason: str) -> None:
        self.ended = reason
        self.close()
        raise Unanswered(reason)

    def close(self) -> None:
        """End the process: it goes by itself where it is idle, and is killed where it is not."""
        self._pipe.close()
        self._process.join(0 if self.ended else 2)
        self._process.kill()
        self._process.join()


class Answers:
    """What a side can be asked, in its own process."""

    def __init__(self, name: str, problem: Problem) -> None:
        kind = SIDES[name]
        self._side_of = getattr(import_module(f"benchmarks.{kind.module}"), kind.name)
        self._name = name
        self._problem = problem
        self._side = self._on(problem.batch)
        self._steps: dict[str, Callable[[], Any]] = self._side.steps()
        self._before = 0

    def _on(self, images: int) -> Any:
        return self._side_of(self._problem.network(), self._problem.x[:images], self._problem.labels[:images])

    def ready(self) -> tuple[str, ...]:
        """The names of the steps it can take. Libraries are loaded; a compiler is not started for each step."""
        tiny = self._on(2)
        steps = tiny.steps()
        for step in list(steps)[: 1 if SIDES[self._name].compiles else None]:
            steps[step]()
        del tiny, steps
        self._before = _held()
        attacks = ("deepfool",) if getattr(self._side, "deepfool", None) else ()
        return (*self._steps, *attacks)

    def first(self, step: str) -> tuple[float, Any, float]:
        """Value, flat gradient (None of an attack) and seconds. It also compiles and warms up everything."""
        begin = time.perf_counter()
        if step == "deepfool":
            return self._side.deepfool(self._problem.x[:CHECKED]), None, 0.0
        return self._steps[step](), self._side.gradient(), time.perf_counter() - begin

    def seconds(self, step: str) -> float:
        """The shortest time of those that fit in one turn, of at least one."""
        call = (lambda: self._side.deepfool(self._problem.x)) if step == "deepfool" else self._steps[step]
        gc.collect()
        times = []
        start = time.perf_counter()
        while not times or time.perf_counter() - start < TURN:
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return min(times)

    def memory(self, step: str) -> int | None:
        """Peak bytes during one more step, beyond what was held before the first; None where Linux does not tell."""
        reset = Path("/proc/self/clear_refs")
        if not reset.exists():
            return None
        held = _held() - self._before
        reset.write_text("5")  # forget the peak so far
        now = _resident("VmRSS")
        self._steps[step]()
        return held + _resident("VmHWM") - now


def _held() -> int:
    """Bytes of data in memory once all garbage is given back. Pages of program files come and go with the system."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return _resident("RssAnon")


def _resident(field: str) -> int:
    """Bytes in memory: now (VmRSS), now without files (RssAnon), at most (VmHWM); 0 where Linux does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def _serve(name: str, problem: Problem, pipe: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # the table goes to standard output; a library's chatter does not
    answers: Answers | None = None
    while True:
        try:
            question, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answers = answers or Answers(name, problem)
            pipe.send((getattr(answers, question)(*arguments), ""))
        except Exception as error:
            pipe.send(
                (None, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}")
            )
