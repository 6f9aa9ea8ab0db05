"""What becomes of pages on their way into the site."""

from pathlib import Path

import pytest

from mkdocs_hooks.drawings import with_drawings
from mkdocs_hooks.elsewhere import in_css, in_page, loaded_from_elsewhere
from mkdocs_hooks.source_pages import shown
from mkdocs_hooks.sources import page_of, reachable, with_links_into_the_site
from tests.pages import DOCS, ROOT


@pytest.mark.parametrize(
    "html",
    [
        '<link href="https://fonts.example/css" rel="stylesheet">',
        '<link rel="preconnect" href="//fonts.example">',
        '<script src="http://cdn.example/x.js"></script>',
        '<img alt="" src="https://cdn.example/x.png">',
        '<img alt="" srcset="https://cdn.example/x.png 2x">',
        '<p style="background: url(https://cdn.example/x.png)">',
        "<style>@import 'https://cdn.example/x.css';</style>",
        "<style>p { background: url(//cdn.example/x.png) }</style>",
        '<pre class="mermaid">',
        '<a data-md-component="source" href="https://forge.example">',
    ],
)
def test_what_a_page_would_load_from_elsewhere_is_found(html: str) -> None:
    assert [*in_page(f"<html><body><p>{html}</body></html>")]


@pytest.mark.parametrize(
    "html",
    [
        '<link href="../assets/style.css" rel="stylesheet">',
        '<link rel="canonical" href="https://docs.example/">',
        '<script src="assets/x.js"></script>',
        '<a href="https://forge.example">elsewhere</a>',
        "<p>url(https://cdn.example/x.png)</p>",
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    ],
)
def test_what_it_only_names_is_not(html: str) -> None:
    assert not [*in_page(html)]


def test_sheets_and_pages_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text("<img src='//x.example/y'>")
    (tmp_path / "a/style.css").write_text(
        "@font-face { src: url('https://x.example/z.woff2') } p { src: url(y.woff2) }"
    )
    assert loaded_from_elsewhere(tmp_path) == ["a/index.html: //x.example/y", "a/style.css: https://x.example/z.woff2"]
    assert not [*in_css((DOCS / "assets/style.css").read_text())]


def test_a_link_to_a_test_leads_to_a_page_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_y.py").touch()
    (tmp_path / "pyproject.toml").touch()
    markdown = "See [`test_x`](../../tests/test_y.py), [a file](../../pyproject.toml) and [a page](../index.md#top).\n"
    led = with_links_into_the_site(markdown, Path("docs/how-to/z.md"), "how-to/z.md", tmp_path)
    assert led == (
        "See [`test_x`](../source/tests/test_y.py.md#test_x), [a file](../source/pyproject.toml.md) "
        "and [a page](../index.md#top).\n"
    )


def test_links_of_a_page_from_the_top_lead_where_they_did() -> None:
    markdown = "[A page](docs/how-to/durable.md#workers), [a folder](examples), [a site](https://x.example).\n```\n[x](y.md)\n```\n"
    led = with_links_into_the_site(markdown, Path("CONTRIBUTING.md"), "contributing.md", ROOT)
    assert led == "[A page](how-to/durable.md#workers), a folder, [a site](https://x.example).\n```\n[x](y.md)\n```\n"


def test_a_link_that_leads_nowhere_is_left_for_mkdocs_to_find() -> None:
    markdown = "[`test_x`](../tests/test_gone.py)\n"
    assert with_links_into_the_site(markdown, Path("docs/z.md"), "z.md", ROOT) == markdown


def test_files_are_found_by_the_pages_that_lead_to_them() -> None:
    found = reachable(ROOT, DOCS.glob("**/*.md"))
    assert Path("tests/test_moving.py") in found
    assert all((ROOT / path).is_file() and path.parts[0] != "docs" for path in found)
    assert page_of(Path("tests/test_moving.py")) == "source/tests/test_moving.py.md"


def test_a_page_of_tests_has_all_of_the_file_each_test_under_its_name() -> None:
    file = ROOT / "tests/test_moving.py"
    page = shown(file, Path("tests/test_moving.py"))
    assert "{#test_a_deployment_that_rolls_from_a_file_to_a_broker_loses_nothing}" in page
    assert {line for line in file.read_text().splitlines() if line.strip()} <= set(page.splitlines())


def test_a_drawing_is_put_into_the_page_and_takes_its_colours(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text('<svg viewBox="0 0 1 1">\n<style>svg { color: red }</style>\n\n<path/></svg>\n')
    page = with_drawings('Text.\n\n![A "drawing".](x.svg)\n', tmp_path / "page.md")
    assert page == (
        'Text.\n\n<figure class="drawing">\n<svg role="img" aria-label="A &quot;drawing&quot;." viewBox="0 0 1 1">\n'
        "<path/></svg>\n</figure>\n"
    )


@pytest.mark.parametrize("file", sorted(DOCS.glob("assets/*.svg")), ids=lambda file: file.name)
def test_every_drawing_has_the_colours_of_its_page(file: Path) -> None:
    """Light or dark; none of its own but our accent, which a page may change."""
    drawn = (
        file.read_text()
        .partition("</style>")[2]
        .replace("var(--drawing-ours, #00897b)", "")
        .replace("var(--drawing-paper, transparent)", "")
    )
    assert "currentColor" in drawn
    assert "#" not in drawn
