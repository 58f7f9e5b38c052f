"""A picture that also says in words what it shows."""

from __future__ import annotations

import base64
import html
import io
from typing import Any


class Picture:
    """A figure in a notebook: a PNG image with its text alternative. Printed, it is the text."""

    def __init__(self, png: bytes, alt: str) -> None:
        self.png = png
        self.alt = alt

    def __repr__(self) -> str:
        return f"[picture: {self.alt}]"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode()
        return f'<img alt="{html.escape(self.alt)}" style="max-width: 100%" src="data:image/png;base64,{data}">'


def picture(figure: Any, alt: str) -> Picture:
    """A matplotlib figure as a picture, and the figure is closed. alt: what it shows, in one or two sentences.

    Raises ValueError where the text alternative is missing.

    >>> from matplotlib.figure import Figure
    >>> from tinygrad2.lessons import picture
    >>> picture(Figure(figsize=(1, 1)), "An empty square.")
    [picture: An empty square.]
    """
    if not alt.strip():
        raise ValueError("a picture needs a text alternative: say in one or two sentences what it shows")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    _close(figure)
    return Picture(stream.getvalue(), alt)


def _close(figure: Any) -> None:
    """A figure that pyplot made would be shown a second time at the end of the cell."""
    from matplotlib import pyplot

    pyplot.close(figure)
