"""Bars, drawn as SVG in the colours of the page: the same bytes for the same numbers, and nothing from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

_INK, _OURS, _THEIRS = "currentColor", "var(--drawing-ours, #00897b)", "currentColor"
_WIDTH, _LABELS, _NUMBERS, _BAR, _GAP, _TOP = 600, 268, 62, 15, 6, 28
# What it wears where it stands alone, as an image, and knows nothing of a page's colours.
_ALONE: Final = "<style>svg { color: #24292f; } @media (prefers-color-scheme: dark) { svg { color: #d0d7de; } }</style>"


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


def told(chart: Chart) -> str:
    """The same in words, for who does not see it."""
    numbers = "; ".join(f"{bar.label}: {bar.shown}" for group in chart.groups for bar in group)
    return f"{chart.title}. {numbers}."


def drawn(chart: Chart) -> str:
    """The whole of an SVG file."""
    bars = [bar for group in chart.groups for bar in group]
    most = max([*(max(bar.value, bar.limit or 0) for bar in bars), chart.mark[0] if chart.mark else 0])
    scale = (_WIDTH - _LABELS - _NUMBERS) / most
    parts, y = [_text(0, 14, chart.title, weight="bold")], _TOP + (14 if chart.mark else 0)
    top = y
    for group in chart.groups:
        for bar in group:
            parts += _bar(bar, y, scale)
            y += _BAR + _GAP
        y += _GAP
    if chart.mark is not None:
        at, name = chart.mark
        parts += [_line(at * scale, top - 4, y - _GAP, width=1), _text(_LABELS + at * scale, top - 8, name, "middle")]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" font-family="system-ui, sans-serif"'
    return "\n".join([f'{head} font-size="12">', _ALONE, *parts, "</svg>\n"])


def _bar(bar: Bar, y: int, scale: float) -> list[str]:
    width, middle = bar.value * scale, y + _BAR - 4
    end = max(width, (bar.limit or 0) * scale)
    return [
        _text(_LABELS - 8, middle, bar.label, "end"),
        _rectangle(y, width, _OURS if bar.ours else _THEIRS, opacity=0.75 if bar.ours else 0.3),
        _text(_LABELS + end + 6, middle, bar.shown),
        *([] if bar.limit is None else [_line(bar.limit * scale, y - 2, y + _BAR + 2, width=2)]),
    ]


def _rectangle(y: int, width: float, colour: str, opacity: float) -> str:
    size = f'width="{width:.1f}" height="{_BAR}" rx="2"'
    return f'<rect x="{_LABELS}" y="{y}" {size} fill="{colour}" fill-opacity="{opacity}"/>'


def _line(x: float, top: float, bottom: float, *, width: int) -> str:
    x += _LABELS
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"'
    return f'<line {place} stroke="{_INK}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="{_INK}">{escape(text)}</text>'
