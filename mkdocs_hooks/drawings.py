"""Drawings, put into the page itself, so that they have its colours."""

import re
from html import escape
from pathlib import Path
from typing import Final

_DRAWING: Final = re.compile(r"^!\[(?P<text>[^\]]*)\]\((?P<file>[^)\s]+\.svg)\)$", re.MULTILINE)
# What a drawing wears where it stands alone, as an image, and knows nothing of a page's colours.
_ALONE: Final = re.compile(r"\s*<style>.*?</style>", re.DOTALL)


def with_drawings(markdown: str, file: Path) -> str:
    """The same text with each drawing in it that stands on a line of its own.

    Args:
        markdown: the text.
        file: where it stands, from which images are found.
    """
    return _DRAWING.sub(lambda found: _drawn((file.parent / found["file"]).read_text(), found["text"]), markdown)


def _drawn(svg: str, text: str) -> str:
    said = _ALONE.sub("", svg).replace("<svg ", f'<svg role="img" aria-label="{escape(text)}" ', 1).strip()
    # Markdown would take an empty line for the end of it.
    return '<figure class="drawing">\n' + re.sub(r"\n\s*\n", "\n", said) + "\n</figure>"
