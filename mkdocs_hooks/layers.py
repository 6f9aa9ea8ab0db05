"""``python -m mkdocs_hooks.layers``: draw the layers anew, as the contract of imports has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs_hooks.modules import layers, meets_ellar

FILE: Final = Path(__file__).parent.parent / "docs" / "assets" / "layers.svg"
_WIDTH, _LEFT, _HEIGHT, _GAP = 400, 30, 26, 5
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="11.5"'
_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>
<style>svg {{ color: #24292f; }} @media (prefers-color-scheme: dark) {{ svg {{ color: #d0d7de; }} }}</style>
<g stroke="currentColor" fill="none" opacity="0.7">
<path d="M20 6 V{end}"/>
<path d="M16 {tip} L20 {end} L24 {tip}"/>
</g>
<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" fill="currentColor" text-anchor="middle">imports</text>
"""
_BOX: Final = (
    '<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" stroke="currentColor" stroke-opacity="0.5" '
    'fill="{fill}" fill-opacity="0.22"/>\n<text x="{middle}" y="{base}" fill="currentColor" '
    'text-anchor="middle">{name}</text>\n'
)
_LEGEND: Final = (
    '<text x="{x}" y="{y}" fill="currentColor" opacity="0.8">Coloured: the only modules that may import Ellar</text>\n'
)


def drawn() -> str:
    """The drawing."""
    rows = layers()
    end = len(rows) * (_HEIGHT + _GAP)
    head = _HEAD.format(font=_FONT, width=_WIDTH, height=end + 22, end=end - 4, tip=end - 10, middle=end // 2)
    boxes = "".join("".join(_row(row, number * (_HEIGHT + _GAP) + 1)) for number, row in enumerate(rows))
    return f"{head}{boxes}{_LEGEND.format(x=_LEFT, y=end + 14)}</svg>\n"


def _row(names: list[str], y: int) -> Iterator[str]:
    """Boxes beside each other, each as wide as its name needs in proportion."""
    free = _WIDTH - _LEFT - 1 - _GAP * (len(names) - 1)
    x, letters = float(_LEFT), sum(len(name) + 2 for name in names)
    for name in names:
        width = free * (len(name) + 2) / letters
        fill = "var(--drawing-ours, #00897b)" if meets_ellar(name) else "none"
        yield _BOX.format(
            x=f"{x:.1f}",
            y=y,
            width=f"{width:.1f}",
            height=_HEIGHT,
            fill=fill,
            middle=f"{x + width / 2:.1f}",
            base=y + 17,
            name=name,
        )
        x += width + _GAP


if __name__ == "__main__":
    FILE.write_text(drawn())
