"""A lesson as its notebook sees it: it checks the reader's answers, and remembers which are right."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, overload

from tinygrad2.lessons.progress import Progress
from tinygrad2.lessons.task import Task, TaskReport
from tinygrad2.verify import Derivation, Report


@dataclass
class Lesson:
    """The exercises of one lesson. `check` says whether an answer is right and notes it in `progress`.

    name: the lesson's, such as "01_tape". progress: by itself the file progress.json in the current folder.

    >>> import tempfile
    >>> import tinygrad2 as tg
    >>> from tinygrad2.lessons import Lesson, Progress
    >>> lesson = Lesson("01_tape", Progress(tempfile.mkdtemp()))
    >>> @tg.derivation(of=lambda x: x * x, axes="n d")
    ... def square(g, x):
    ...     return 2 * g * x
    >>> lesson.check(square).ok
    True
    >>> lesson.progress.solved("01_tape")
    ['square']
    """

    name: str
    progress: Progress = field(default_factory=Progress)

    @overload
    def check(self, answer: Derivation) -> Report: ...
    @overload
    def check(self, answer: Task) -> TaskReport: ...
    def check(self, answer: Derivation | Task) -> Report | TaskReport:
        """Check an answer. The report says whether it is right; if not, what is wrong with it.

        Raises NotImplementedError where the exercise is as it was, without an answer.
        """
        waiting: list[NotImplementedError] = []
        report = replace(answer, rule=_watched(answer.rule, waiting)).check()
        if waiting and not report.ok:
            raise NotImplementedError(f"{answer.name} has no answer yet: write it in place of the line that says raise")
        self.progress.note(self.name, answer.name, report.ok)
        return report


def _watched(rule: Callable[..., Any], waiting: list[NotImplementedError]) -> Callable[..., Any]:
    """The rule; that it raises NotImplementedError is noted."""

    @functools.wraps(rule)
    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            return rule(*args, **kwargs)
        except NotImplementedError as error:
            waiting.append(error)
            raise

    return watched
