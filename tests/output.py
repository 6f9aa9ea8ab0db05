"""What is printed, beside what a page shows of it."""

import re


def assert_shown(where: object, shown: str, printed: str, *, to_the_end: bool = True) -> None:
    """What a page shows is what was printed.

    Args:
        where: on which page.
        shown: line by line. ``...`` is anything: within a line, with the spaces around it; as a line of its own, any
            number of lines.
        printed: what is true.
        to_the_end: whether nothing more may have been printed.
    """
    assert is_shown(shown, printed, to_the_end=to_the_end), f"{where} shows\n{shown}\nand what is printed is\n{printed}"


def is_shown(shown: str, printed: str, *, to_the_end: bool = True) -> bool:
    pattern = "".join(map(_of_line, _lines(shown)))
    text = "".join(f"{line}\n" for line in _lines(printed))
    match = re.fullmatch if to_the_end else re.match
    return match(pattern, text) is not None


def _of_line(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return ".*".join(map(re.escape, re.split(r" *\.\.\. *", line))) + r"\n"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
