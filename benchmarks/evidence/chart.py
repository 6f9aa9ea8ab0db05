"""Bars, drawn as SVG: the same bytes for the same numbers, without a font, a script or anything from elsewhere.

A page shows them as images, which know nothing of its colours: these are readable on light and on dark ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

_TEXT, _LINE, _LIMIT = "#808a94", "#808a9466", "#d9480f"
_OURS, _THEIRS = "#3b82c4", "#9aa5b1"
_WIDTH, _LABELS, _NUMBERS, _BAR, _GAP, _TOP = 760, 330, 80, 16, 6, 34
_FONT: Final = "font-family='system-ui, sans-serif' font-size='13'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A number, and how it is written.

    Attributes:
        ours: whether it is bg_di's.
        limit: what it may be at most.
    """

    label: str
    value: float
    shown: str
    ours: bool = True
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Groups of bars on one scale.

    Attributes:
        mark: a value with a line of its own, such as what is compared with.
    """

    title: str
    groups: Sequence[Sequence[Bar]]
    mark: tuple[float, str] | None = field(default=None)


def drawn(chart: Chart) -> str:
    """The whole of an SVG file."""
    bars = [bar for group in chart.groups for bar in group]
    most = max([*(bar.value for bar in bars), *(bar.limit or 0 for bar in bars), chart.mark[0] if chart.mark else 0])
    scale = (_WIDTH - _LABELS - _NUMBERS) / most
    parts, y = [_text(0, 16, chart.title, weight="bold")], _TOP + (16 if chart.mark else 0)
    top = y
    for group in chart.groups:
        for bar in group:
            parts += _bar(bar, y, scale)
            y += _BAR + _GAP
        y += _GAP
    if chart.mark is not None:
        at, name = chart.mark
        parts += [
            _line(at * scale, top - 4, y - _GAP, _LINE),
            _text(_LABELS + at * scale, top - 8, name, anchor="middle"),
        ]
    body = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {y}' role='img' {_FONT}>\n"
        f"<title>{escape(chart.title)}</title>\n{body}\n</svg>\n"
    )


def _bar(bar: Bar, y: int, scale: float) -> list[str]:
    width, middle = bar.value * scale, y + _BAR - 4
    parts = [
        _text(_LABELS - 10, middle, bar.label, anchor="end"),
        _rectangle(y, width, _OURS if bar.ours else _THEIRS),
        _text(_LABELS + max(width, (bar.limit or 0) * scale) + 8, middle, bar.shown),
    ]
    if bar.limit is not None:
        parts.append(_line(bar.limit * scale, y - 2, y + _BAR + 2, _LIMIT))
    return parts


def _rectangle(y: int, width: float, colour: str) -> str:
    return f"<rect x='{_LABELS}' y='{y}' width='{width:.1f}' height='{_BAR}' rx='2' fill='{colour}'/>"


def _line(x: float, top: float, bottom: float, colour: str) -> str:
    x += _LABELS
    return f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{bottom}' stroke='{colour}' stroke-width='2'/>"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f"<text x='{x:.1f}' y='{y}' text-anchor='{anchor}' font-weight='{weight}' fill='{_TEXT}'>{escape(text)}</text>"
    )
