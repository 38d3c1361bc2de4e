"""What MkDocs asks on its way from the numbered folders to the site.

The pages are the README files where they lie: nothing is copied into a folder of documents. Their order is that of the
lessons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from importlib.resources import files as packaged
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.livereload import LiveReloadServer
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from workshop.course import lessons
from workshop.course.fences import LessonError
from workshop.course.lessons import Lesson
from workshop.learner.workspace import Workspace
from workshop.learner.workspace import files as files_below
from workshop.site import slides

HOME, README, LAST = "index.md", "README.md", ["INSTRUCTORS.md", "CONTRIBUTING.md", "REFERENCES.md"]
PICTURES = {".svg", ".png", ".jpg", ".webp"}
REVEAL = ["reveal.js", "reveal.css", "plugin/notes.js"]
LINK = re.compile(r"\]\(([^)\s:#]+)|^\[[^\]]+\]: +([^\s:#]+)(?=\s|#|$)", re.MULTILINE)

# What Material's pages lack: names by which a screen reader tells one part from the other, and our search.
NAMES = [
    (r'(class="md-search" [^>]*role="dialog")', r'\1 aria-label="Search"'),
    (r'(<nav class="md-path") aria-label="[^"]*"', r'\1 aria-label="Where you are"'),
    (r'"search": "([^"]*)assets/javascripts/workers/[^"]+"', r'"search": "\1search.js"'),
    (r"<thead>\s*<tr>(\s*<th></th>)+\s*</tr>\s*</thead>", ""),
]
SECTION = re.compile(r'<label class="md-nav__title" for="(__nav_[\d_]+)">\s*<span [^>]*></span>\s*(.*?)\s*</label>', re.DOTALL)

# What the theme brings and nobody here asks for: other languages' words, what maps minified code to its source, and a template.
UNUSED = re.compile(r"assets/javascripts/lunr/|\.map$|^sitemap\.xml$")

# The addresses at which a code host takes a change to a file, and publishes the pages of a repository.
EDIT = {"github.com": "edit/main/", "gitlab.com": "-/edit/main/"}
PUBLISHED = {"github.com": "github.io", "gitlab.com": "gitlab.io"}

# A question is taken apart where a page is, at blanks alone: a name with hyphens, such as that of a fault, is one word.
SEARCH = 'importScripts("{}")\nlunr.QueryLexer.termSeparator = /\\s+/\n'

PICTURE = re.compile(r'(<img [^>]*src="([^"]+\.svg)"[^>]*>)')
PARAGRAPH = re.compile("<p>(.*?)</p>", re.DOTALL)
DESCRIPTION = 160  # characters: what a search engine shows

serving = False
facts: dict[str, str] = {}


class Source(File):
    """A file or folder of the repository that a page links to, drawn as a page."""

    def is_documentation_page(self) -> bool:
        return True


def on_startup(command: str, **_) -> None:
    """Remember whether a reader looks at the site on their own machine, or it is built to be published."""
    global serving
    serving = command == "serve"


def on_config(config: MkDocsConfig) -> None:
    """The order of the pages, what is known about each, and all addresses that follow from `repo_url`.

    Raises PluginError for a lesson whose text is not what the format allows."""
    root = _root(config)
    last = [name for name in LAST if (root / name).is_file()]
    try:
        numbered = [_branch(path, root) for path in _numbered(root)]
        config.nav = [{"Home": HOME}, {"Get started": README}, *numbered, *last]
        facts.clear()
        facts.update(_facts(root))
    except LessonError as error:
        raise PluginError(str(error)) from None
    if config.repo_url:
        host, owner, name = _repository(config.repo_url)
        config.repo_name = f"{owner}/{name}"
        config.edit_uri = EDIT.get(host)
        if host in PUBLISHED and not config.site_url:
            config.site_url = f"https://{owner}.{PUBLISHED[host]}/{name}/"
    if not config.site_url:
        config.theme.static_templates.discard("sitemap.xml")  # it would be empty: its addresses are whole ones


def on_files(files: Files, config: MkDocsConfig) -> None:
    """The pages, the decks, the pictures, the files that pages link to, and what shows a deck."""
    root = _root(config)
    for file in [file for file in files if UNUSED.search(file.src_uri)]:
        files.remove(file)
    files.append(File.generated(config, HOME, content=_home(config)))
    worker = next(file.src_uri for file in files if file.src_uri.startswith("assets/javascripts/workers/search."))
    files.append(File.generated(config, "search.js", content=SEARCH.format(worker)))
    decks = slides.decks(root)
    pages = {root / uri for uri in _flat(config.nav) if uri != HOME}
    pictures = {path for folder in _numbered(root) for path in folder.rglob("*") if path.suffix in PICTURES}
    for path in sorted(pages | pictures):
        files.append(_as_it_is(config, _uri(path, root), path))
    files.get_file_from_path(README).dest_uri = "README/index.html"
    for path in sorted({*decks, *_linked([*pages, *decks], root)} - pages - pictures):
        files.append(_beside(path, root, config))
    for name in REVEAL:
        path = packaged("pyreveal") / "revealjs" / "dist" / name
        files.append(File.generated(config, f"assets/reveal/{name}", abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, **_) -> str:
    """What the navigation says about a page; a deck becomes sections."""
    page.meta["subtitle"] = facts.get(page.file.src_uri)
    if page.file.inclusion.is_not_in_nav():
        page.meta["search"] = {"exclude": True}
    if page.file.name != "slides":
        return markdown
    heading = re.search(r"^# (.+)", markdown, re.MULTILINE)
    page.meta |= {"template": "deck.html", "title": heading[1] if heading else page.title}
    return slides.sections(markdown)


def on_page_content(html: str, page: Page, files: Files, **_) -> str:
    """The same facts below the page's title, and the ways from here that its own text does not hold."""
    page.meta["description"] = _description(html, page.title)
    deck = str(PurePosixPath(page.file.src_uri).with_name("slides.md"))
    has_deck = page.file.name == "index" and files.get_file_from_path(deck)
    known = [page.meta["subtitle"]] if page.meta["subtitle"] else []
    known += ['<a href="slides/">Slides</a>'] if has_deck else []
    html = PICTURE.sub(r'<a class="picture" href="\2">\1</a>', html)
    if above := _above(page, files):
        page.meta["above"] = above
        if page.file.name == "slides":
            return html
        known.append(f'<a href="{above.url_relative_to(page.file)}">{escape(above.page.title)}</a>')
        html += f'\n<p class="facts" data-search-exclude>Back to {known[-1]}</p>'
    if not known:
        return html
    return html.replace("</h1>", f'</h1>\n<p class="facts" data-search-exclude>{" · ".join(known)}</p>', 1)


def on_post_page(output: str, **_) -> str:
    """The page with the names that it lacks."""
    for found, named in NAMES:
        output = re.sub(found, named, output)
    for name, title in SECTION.findall(output):
        label = f'id="{name}_label" tabindex="0">'
        output = output.replace(label, f'{label}<span class="unseen">Lessons of: {title}</span>')
    return output


def on_serve(server: LiveReloadServer, config: MkDocsConfig, **_) -> None:
    """Draw the site anew when a page changes, or the reader's progress."""
    root = _root(config)
    for path in [*_numbered(root), root / ".saved", *(root / name for name in [README, *LAST])]:
        if path.exists():
            server.watch(str(path), recursive=path.name != ".saved")


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _repository(address: str) -> tuple[str, str, str]:
    """The host, the owner and the name of a repository.

    Raises PluginError for an address that names none."""
    match = re.fullmatch(r"https://([^/]+)/(.+)/([^/]+?)(?:\.git)?/?", address)
    if not match:
        raise PluginError(f"mkdocs.yml: repo_url is {address!r}; write it like https://github.com/you/flask-opentelemetry")
    return match[1], match[2], match[3]


def _home(config: MkDocsConfig) -> str:
    """The first page: one sentence, the README's picture, where to start, the chapters."""
    root = _root(config)
    picture = re.search(r"^!\[[^\]]+\]\([^)]+\)$", (root / README).read_text(encoding="utf-8"), re.MULTILINE)
    first = next(iter(lessons.lessons(root)), None)
    start = f'<p class="start" markdown="1">[Start: {first.title}]({_uri(first.readme, root)})</p>' if first else ""
    chapters = [
        f"- [{folder.name} {lessons.title(folder / README, root)}]({_uri(folder / README, root)})"
        + (f"<br>{known}" if (known := facts.get(_uri(folder / README, root))) else "")
        for folder in _numbered(root)
    ]
    have = f"It runs on your machine: [two commands bring it there]({README})."
    parts = [f"# {config.site_name}", config.site_description, picture[0] if picture else "", start, have, "\n".join(chapters)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _description(html: str, title: str) -> str:
    """The text of a page's first paragraph that has one, else its title; to stand in an attribute."""
    paragraphs = (" ".join(unescape(re.sub("<[^>]+>", "", found)).split()) for found in PARAGRAPH.findall(html))
    text = next(filter(None, paragraphs), title)
    return escape(text if len(text) <= DESCRIPTION else text[: DESCRIPTION - 1].rpartition(" ")[0] + "…")


def _above(page: Page, files: Files) -> File | None:
    """For what is not in the navigation: the page of the nearest folder above it that has one."""
    if page.file.inclusion.is_not_in_nav():
        for folder in PurePosixPath(page.file.src_uri).parents:
            if (found := files.get_file_from_path(str(folder / README))) and found.page:
                return found
    return None


def _as_it_is(config: MkDocsConfig, uri: str, path: Path, **about) -> File:
    file = File.generated(config, uri, abs_src_path=str(path), **about)
    file.edit_uri = uri
    return file


def _uri(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _numbered(folder: Path) -> list[Path]:
    return [readme.parent for readme in sorted(folder.glob("[0-9][0-9][0-9]/README.md"))]


def _branch(folder: Path, root: Path) -> str | dict:
    readme = folder / "README.md"
    below = [_branch(child, root) for child in _numbered(folder)]
    return {lessons.title(readme, root): [_uri(readme, root), *below]} if below else _uri(readme, root)


def _flat(nav: list | dict | str) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for item in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else []:
        yield from _flat(item)


def _facts(root: Path) -> Iterator[tuple[str, str]]:
    """The address of a page, and what the navigation says about it."""
    everything = lessons.lessons(root)
    progress = Workspace(root).progress() if serving else {"current": None, "done": []}
    for lesson in everything:
        here = "you are here" if lesson.name == progress["current"] else None
        state = "done ✓" if lesson.name in progress["done"] else here
        yield _uri(lesson.readme, root), _joined(lesson.name, _time([lesson]), state)
    for folder in lessons.chapters(root):
        below = [lesson for lesson in everything if folder in lesson.folder.parents]
        done = sum(lesson.name in progress["done"] for lesson in below)
        if below:
            count = "1 lesson" if len(below) == 1 else f"{len(below)} lessons"
            yield _uri(folder / "README.md", root), _joined(count, _time(below), f"{done} done ✓" if done else None)


def _joined(*known: str | None) -> str:
    return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in known if part)


def _time(taken: list[Lesson]) -> str:
    hours, minutes = divmod(sum(lesson.minutes for lesson in taken), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _linked(pages: list[Path], root: Path) -> Iterator[Path]:
    """The files and folders of the repository that pages link to; for a folder without a page also what lies in it."""
    for page in pages:
        for match in LINK.finditer(page.read_text(encoding="utf-8")):
            path = (page.parent / (match[1] or match[2])).resolve()
            if path.is_relative_to(root) and path.exists() and not (path / "README.md").exists():
                yield path
                if path.is_dir():
                    yield from (path / name for name in files_below(path))


def _beside(path: Path, root: Path, config: MkDocsConfig) -> File:
    """A page for what is not in the navigation: a deck, a quiz, any file or folder of the repository."""
    uri, level = _uri(path, root), InclusionLevel.NOT_IN_NAV
    if path.is_dir():
        content = "\n".join(f"- [`{name}`]({path.name}/{name})" for name in files_below(path))
    else:
        text = None if path.suffix == ".md" else _text(path)
        if text is None:
            return _as_it_is(config, uri, path, inclusion=level)
        fence = max(["``", *re.findall("`{3,}", text)], key=len) + "`"
        content = f'{fence}text title="{uri}"\n{text}\n{fence}'
    page = Source.generated(config, uri, content=f"# `{uri}`\n\n{content}\n", inclusion=level)
    page.dest_uri = f"{uri}/index.html"
    page.edit_uri = uri
    return page


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except UnicodeDecodeError:
        return None
