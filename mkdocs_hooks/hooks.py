"""What mkdocs calls while it builds the site."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from mkdocs_hooks.drawings import with_drawings
from mkdocs_hooks.elsewhere import loaded_from_elsewhere
from mkdocs_hooks.parts import with_parts
from mkdocs_hooks.source_pages import shown
from mkdocs_hooks.sources import TOP_LEVEL, origin_of, page_of, reachable, with_links_into_the_site

ROOT = Path(__file__).parent.parent


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what the project does not have yet."""
    missing = [page for page, file in TOP_LEVEL.items() if not (ROOT / file).exists()]
    config.nav = [entry for entry in config.nav or [] if not any(page in str(entry) for page in missing)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the project that a page links to: the site has what it speaks of."""
    for path in reachable(ROOT, [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]):
        files.append(File.generated(config, page_of(path), content=_content(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what is generated where a page asks for it, and lead its links into the site."""
    origin = origin_of(page.file.src_uri)
    if origin is not None and origin.suffix != ".md":
        return markdown
    place = Path("docs", page.file.src_uri) if origin is None else origin
    return with_links_into_the_site(with_drawings(with_parts(markdown), ROOT / place), place, page.file.src_uri, ROOT)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail where a page would load anything from another host."""
    found = loaded_from_elsewhere(Path(config.site_dir))
    if found:
        raise PluginError("the site loads from elsewhere:\n" + "\n".join(found))


def _content(path: Path) -> str:
    return shown(ROOT / path, path)
