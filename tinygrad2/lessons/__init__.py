"""What the lessons need when they run: exercises that answer at once, pictures that have words, and progress.

A lesson itself is a source in lessons/; `tinygrad2.lessons.build` makes the notebook that people open from it.
"""

from tinygrad2.lessons.lesson import Lesson
from tinygrad2.lessons.picture import Picture, picture
from tinygrad2.lessons.progress import Progress
from tinygrad2.lessons.task import Task, TaskReport, task

__all__ = ["Lesson", "Picture", "Progress", "Task", "TaskReport", "picture", "task"]
