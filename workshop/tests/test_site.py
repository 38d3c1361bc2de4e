"""The site and the slides, as far as no browser is needed: built strictly, from this repository and from toys."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from workshop.course import lessons
from workshop.course.fences import ROOT, LessonError
from workshop.setup.install import EXTRAS
from workshop.site import __main__ as command
from workshop.site import blocks, slides

STRUCTURE = set("h1 h2 h3 h4 ul ol li blockquote pre table tr th td strong em a img".split())
LAST = [name for name in ("INSTRUCTORS.md", "CONTRIBUTING.md", "REFERENCES.md") if (ROOT / name).is_file()]
LESSONS = sorted(ROOT.glob("[0-9]*/**/README.md"), key=lambda readme: readme.parent)
PAGES = ["README.md", *(readme.relative_to(ROOT).as_posix() for readme in LESSONS), *LAST]
PAGE_BYTES = 90_000  # as a host sends them: compressed
REPOSITORY = "https://github.com/someone/some-fork"


class Reader(HTMLParser):
    """What a test wants to know about a piece of HTML: its tags with their attributes, and its text."""

    VOID = {"br", "hr", "img", "input", "link", "meta", "source"}

    def __init__(self, html: str, without: tuple[str, ...] = ()):
        """`without` names tags and classes whose text does not count."""
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self._text: list[str] = []
        self._open: list[bool] = [False]
        self._without = set(without)
        self.feed(html)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def words(self) -> list[str]:
        return self.text.split()

    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.tags if attributes.get("id")}

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag not in self.VOID:
            names = {tag, *(found.get("class") or "").split()}
            self._open.append(self._open[-1] or bool(self._without & names))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open[-1]:
            self._text.append(data)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        threading.Event().wait(0.1)


def mkdocs(root: Path, *arguments) -> list[str]:
    return [sys.executable, "-m", "mkdocs", arguments[0], "-f", str(root / "mkdocs.yml"), *map(str, arguments[1:])]


def build(root: Path, to: Path) -> subprocess.CompletedProcess:
    arguments = mkdocs(root, "build", "--strict", "-d", to)
    return subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **command.QUIET}, cwd=root)


def page(site: Path, uri: str) -> Path:
    """The built page of a README."""
    folder = "README" if uri == "README.md" else uri.removesuffix("README.md").removesuffix(".md")
    return site / folder / "index.html"


def article(path: Path) -> str:
    return re.search(r'<article class="md-content__inner md-typeset">(.*?)</article>', path.read_text(), re.DOTALL)[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """This repository's site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def small(bare):
    """A repository with one lesson and a site."""
    (bare.root / "workshop").symlink_to(ROOT / "workshop")
    bare.write("mkdocs.yml", (ROOT / "mkdocs.yml").read_bytes())
    bare.write("README.md", "# Toy\n")
    bare.page("100/100", '# Lesson\n\nIn `src/a.py`:\n\n```python title="src/a.py"\none = 1\n```\n')
    return bare


# The whole site


def test_every_lesson_is_a_page_in_the_order_in_which_they_are_taken(site):
    seen, here = [], "index.html"
    while here:
        seen.append(here)
        following = re.search(r'<link rel="next" href="([^"]+)"', (site / here).read_text())
        here = following and os.path.normpath(os.path.join(os.path.dirname(here), following[1], "index.html"))
    assert seen == ["index.html", *(page(Path(), uri).as_posix() for uri in PAGES)]


def test_a_translation_that_a_lesson_links_to_is_a_page_that_leads_back(small, tmp_path):
    block = '```python title="src/a.py"\none = 1\n```\n'
    small.page("100/100", f"# Lesson\n\n[中文](README.zh.md)\n\nIn `src/a.py`:\n\n{block}")
    small.write("100/100/README.zh.md", f"# 第一课\n\n在 `src/a.py` 里：\n\n{block}")
    assert build(small.root, tmp_path / "site").returncode == 0
    translated = article(tmp_path / "site" / "100" / "100" / "README.zh" / "index.html")
    assert "第一课" in translated and '<a href="../">Lesson</a>' in translated and "src/a.py" in translated
    assert 'href="README.zh/"' in article(page(tmp_path / "site", "100/100/README.md"))


def test_what_authors_and_checks_need_is_no_page(site):
    published = {path.relative_to(site).as_posix() for path in site.rglob("*")}
    assert not [name for name in published if re.search(r"/test_|wrong-turns|__pycache__|seconds\.json", name)]


@pytest.mark.parametrize("uri", PAGES)
def test_a_page_says_on_the_site_what_it_says_on_the_code_host(site, uri):
    ours = article(page(site, uri))
    theirs = MarkdownIt("commonmark", {"html": True}).enable("table").render((ROOT / uri).read_text(encoding="utf-8"))
    theirs = re.sub(r"<thead>\s*<tr>(\s*<th></th>)+\s*</tr>\s*</thead>", "", theirs)
    ours = re.sub(r'<a class="headerlink".*?</a>|<p class="facts".*?</p>|<span class="filename">.*?</span>', "", ours)
    ours = re.sub(r'<a class="picture"[^>]*>(.*?)</a>', r"\1", ours, flags=re.DOTALL)
    assert Reader(ours, without=("pre",)).words == Reader(theirs, without=("pre",)).words
    assert [t for t, _ in Reader(ours).tags if t in STRUCTURE] == [t for t, _ in Reader(theirs).tags if t in STRUCTURE]


def test_hints_and_solutions_are_closed(site):
    folded = [a for uri in PAGES for tag, a in Reader(article(page(site, uri))).tags if tag == "details"]
    assert folded
    assert not [attributes for attributes in folded if "open" in attributes]


def test_nothing_is_loaded_from_elsewhere(site):
    loading = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
    for path in site.rglob("*.html"):
        for tag, attributes in Reader(path.read_text()).tags:
            address = attributes.get(loading.get(tag, ""), "")
            assert not urlsplit(address).netloc, f"{path} loads {address}"
            assert attributes.get("rel") not in ("preconnect", "dns-prefetch")
    for path in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\W*(https?:)?//", path.read_text()), path


def test_every_link_and_anchor_within_the_site_leads_somewhere(site):
    ids = {path: Reader(path.read_text()).ids() for path in site.rglob("*.html")}
    for path in ids:
        for tag, attributes in Reader(path.read_text()).tags:
            link = urlsplit(attributes.get("href" if tag in ("a", "link") else "src") or "")
            if link.scheme or link.netloc:
                continue
            target = Path(os.path.normpath(path.parent / unquote(link.path))) if link.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path}: {link.geturl()}"
            assert not link.fragment or unquote(link.fragment) in ids[target], f"{path}: {link.geturl()}"


def test_no_page_weighs_more_than_its_budget(site):
    for path in site.rglob("*.html"):
        parts = [path]
        for tag, attributes in Reader(path.read_text()).tags:
            address = attributes.get("src") if tag == "script" else attributes.get("href") if tag == "link" else None
            if address and address.endswith((".js", ".css")):
                parts.append(path.parent / address)
        assert sum(len(gzip.compress(part.read_bytes())) for part in parts) <= PAGE_BYTES, path


def test_nothing_is_published_that_no_page_asks_for(site):
    names = [path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith(".map") or "/lunr/" in name]


def test_each_page_describes_itself(site):
    said = {}
    for path in site.rglob("*.html"):
        found = [a["content"] for tag, a in Reader(path.read_text()).tags if tag == "meta" and a.get("name") == "description"]
        if path.name != "404.html":
            assert len(found) == 1 and 5 < len(found[0]) <= 160, path
            said.setdefault(found[0], []).append(path.relative_to(site).as_posix())
    assert not [paths for paths in said.values() if len(paths) > 1]


def test_a_shared_link_shows_the_title_and_the_text_of_its_page(site):
    about = {
        a.get("property"): a["content"]
        for tag, a in Reader(page(site, "300/300/100/README.md").read_text()).tags
        if tag == "meta" and "content" in a
    }
    assert about["og:title"] == lessons.find("300/300/100").title
    assert about["og:description"].startswith("In a few minutes") and about["og:site_name"]


def test_the_mark_is_ours_and_is_the_icon_of_every_page(site):
    for path in (site / "index.html", site / "100" / "slides" / "index.html"):
        icons = [a["href"] for tag, a in Reader(path.read_text()).tags if tag == "link" and a.get("rel") == "icon"]
        assert [(path.parent / icon).resolve() for icon in icons] == [site / "mark.svg"]
    assert 'alt="logo"' in (site / "index.html").read_text()


# Home


def test_home_is_one_sentence_a_picture_a_start_and_the_chapters(site):
    html = article(site / "index.html")
    links = [a["href"] for tag, a in Reader(html).tags if tag == "a" and "headerlink" not in (a.get("class") or "")]
    chapters = [f"{folder.name}/" for folder in sorted(ROOT.glob("[0-9]00"))]
    assert links == ["300/300/300/trace.svg", f"{lessons.lessons()[0].name}/", "README/", *chapters]
    assert len(Reader(html).words) < 90 and [tag for tag, _ in Reader(html).tags].count("img") == 1


def test_no_button_copies_what_nobody_can_run(site):
    """A word in angle brackets stands for something that only the reader knows."""
    for uri in PAGES:
        for block in re.findall(r'<div class="highlight (?:command|file)">(.*?)</div>', article(page(site, uri)), re.DOTALL):
            assert not re.search(r"^git clone <|<this ", Reader(block).text, re.MULTILINE), uri
    first = re.search(r'<div class="highlight file">(.*?)</div>', article(page(site, "README.md")), re.DOTALL)[1]
    assert Reader(first).text.strip() == "make demo"


# What follows from the address of the repository


def built(small, to: Path, address: str) -> Path:
    settings = small.root / "mkdocs.yml"
    settings.write_text(settings.read_text().replace('repo_url: ""', f'repo_url: "{address}"'))
    done = build(small.root, to)
    assert done.returncode == 0, done.stderr
    return to


def links(path: Path) -> set[str]:
    return {a.get("href", "") for _, a in Reader(path.read_text()).tags}


def test_without_an_address_no_page_links_to_a_repository(small, tmp_path):
    out = built(small, tmp_path / "site", "")
    assert not [link for path in out.rglob("*.html") for link in links(path) if urlsplit(link).netloc]
    assert not (out / "sitemap.xml").exists()


def test_one_line_brings_edit_links_and_the_address_of_the_site(small, tmp_path):
    small.write("README.md", "# Toy\n\n[file](src/a.py)\n")
    small.write("src/a.py", "one = 1\n")
    out = built(small, tmp_path / "site", REPOSITORY)
    assert f"{REPOSITORY}/edit/main/100/100/README.md" in links(out / "100" / "100" / "index.html")
    assert f"{REPOSITORY}/edit/main/src/a.py" in links(out / "src" / "a.py" / "index.html")
    published = "https://someone.github.io/some-fork/"
    addresses = re.findall("<loc>(.*?)</loc>", (out / "sitemap.xml").read_text())
    assert {published, f"{published}README/", f"{published}100/", f"{published}100/100/"} <= set(addresses)
    assert published in links(out / "404.html")
    head = (out / "100" / "100" / "index.html").read_text()
    assert f'<meta property="og:url" content="{published}100/100/">' in head
    assert f'<meta property="og:image" content="{published}card.png">' in head and (out / "card.png").is_file()
    assert 'data-md-component="source"' not in head, "the theme's own link asks the code host for stars"


def test_another_host_gets_links_and_no_guess_at_an_address(small, tmp_path):
    out = built(small, tmp_path / "site", "https://code.example.org/group/some-fork.git")
    assert "https://code.example.org/group/some-fork.git" in links(out / "100" / "100" / "index.html")
    assert not (out / "sitemap.xml").exists()


def test_an_address_that_names_no_repository_is_refused(small, tmp_path):
    small.write("mkdocs.yml", (ROOT / "mkdocs.yml").read_text().replace('repo_url: ""', "repo_url: https://github.com"))
    done = build(small.root, tmp_path / "site")
    assert done.returncode == 1 and "repo_url is 'https://github.com'" in done.stderr and "Traceback" not in done.stderr


def test_a_page_that_is_not_there_needs_nothing_from_any_folder(site):
    tags = Reader((site / "404.html").read_text()).tags
    assert not [a for tag, a in tags if tag in ("link", "script", "img", "a")]
    assert [tag for tag, _ in tags].count("style") == 1


def test_a_chapter_shows_its_lessons_and_minutes(site):
    chapter = lessons.lessons()[0].folder.parent
    below = [lesson for lesson in lessons.lessons() if chapter in lesson.folder.parents]
    hours, minutes = divmod(sum(lesson.minutes for lesson in below), 60)
    shown = re.search(r'<p class="facts"[^>]*>(.*?)</p>', (site / chapter.name / "index.html").read_text())[1]
    shown = shown.replace("\xa0", " ")
    assert f"{len(below)} lesson" in shown
    assert f"{minutes} min" in shown and (f"{hours} h" in shown) == bool(hours)


def test_search_knows_the_lessons_and_not_the_decks(site):
    index = (site / "search" / "search_index.json").read_text()
    for lesson in lessons.lessons():
        assert f'"location":"{lesson.name}/"' in index
    assert '/slides/"' not in index


def test_what_is_not_in_the_navigation_leads_back(site):
    quiz = article(site / "100" / "200" / "quiz" / "index.html")
    back = f'<a href="../">{lessons.find("100/200").title}</a>'
    assert f"data-search-exclude>{back}</p>" in quiz and quiz.rstrip().endswith(f"Back to {back}</p>")


# Links to what is no page


def test_links_to_files_and_folders_lead_to_what_is_in_them(small, tmp_path):
    small.write("src/todo/views.py", "answer = 42\n")
    small.write("100/100/quiz.md", "# Questions\n\n- one\n")
    small.write("100/100/trace.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
    small.write("LICENSE", "Do what you like: ```` is four.\n")
    links = "[c](docker-compose.yml) [l][license] [src](src/) [q](100/100/quiz.md) ![t](100/100/trace.svg)"
    small.write("README.md", f"# Toy\n\n{links}\n\n[license]: LICENSE\n")
    done = build(small.root, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "site"
    assert "mem_limit" in Reader(article(out / "docker-compose.yml" / "index.html")).text
    assert "```` is four" in Reader(article(out / "LICENSE" / "index.html")).text
    assert 'href="todo/views.py/"' in article(out / "src" / "index.html")
    assert "answer = 42" in Reader(article(out / "src" / "todo" / "views.py" / "index.html")).text
    assert "<li>one</li>" in article(out / "100" / "100" / "quiz" / "index.html")
    assert (out / "100" / "100" / "trace.svg").is_file()


def test_a_link_that_leads_nowhere_is_an_error(small, tmp_path):
    nowhere = ["missing.md", "100/README.md#nowhere", "/100/", "#here", "100/100/missing.svg"]
    small.write("README.md", "# Toy\n\n" + "\n".join(f"[link]({link})" for link in nowhere))
    done = build(small.root, tmp_path / "site")
    assert done.returncode == 1
    assert [link for link in nowhere if f"link '{link}'" in done.stderr] == nowhere


def test_a_lesson_that_breaks_the_format_is_named_with_its_line(small, tmp_path):
    small.page("100/100", "# Lesson\n\n```python\none = 1\n```\n")
    done = build(small.root, tmp_path / "site")
    assert done.returncode == 1
    assert "100/100/README.md:3: " in done.stderr
    assert "Traceback" not in done.stderr


# The reader's own progress


def test_a_site_to_publish_knows_nobodys_progress(small, tmp_path):
    small.write(".saved/progress.json", '{"current": "100/100", "done": ["100/100"]}')
    assert build(small.root, tmp_path / "site").returncode == 0
    assert "done ✓" not in "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))


@pytest.fixture
def server(small, tmp_path) -> Iterator[Callable[[str], str]]:
    """`mkdocs serve` for the toy; gives what it answers to a path."""
    small.write(".saved/progress.json", '{"current": "100/100", "done": []}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "serve.log"

    def answer(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as response:
            return response.read().decode().replace("\xa0", " ")

    with log.open("w") as out:
        process = subprocess.Popen(
            mkdocs(small.root, "serve", "--dev-addr", f"127.0.0.1:{port}"),
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=small.root,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            wait_until(lambda: "Serving on" in log.read_text() or process.poll() is not None, "mkdocs serves")
            assert process.poll() is None, log.read_text()
            yield answer
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_served_pages_follow_the_lessons_and_the_readers_progress(small, server):
    assert "100/100 · 1 min · you are here" in server("100/100/")
    small.page("100/100", "# Lesson\n\nSomething new.\n")
    wait_until(lambda: "Something new." in server("100/100/"), "the page follows its README")
    small.write(".saved/progress.json", '{"current": "100/100", "done": ["100/100"]}')
    wait_until(lambda: "done ✓" in server("100/100/"), "the page follows the progress")
    assert "1 lesson · 1 min · 1 done ✓" in server("100/")


# Blocks


def resulting(html: str) -> str:
    """What the button of a block copies: see workshop.js."""
    return Reader(html, without=("del", "sign", "gap", "filename")).text


def test_a_change_is_colored_by_its_file_and_marked_line_by_line():
    html = blocks.draw('diff title="src/a.py"', [" import os", "-x = 1", "+x = 2", "@@", " def f():", "+    pass"])
    assert '<span class="filename">src/a.py</span>' in html
    assert re.search(r"<del>.*x.*1.*\n</del><ins>.*x.*2.*\n</ins>", html)
    assert re.search(r'<span class="kn?">import</span>', html)
    assert resulting(html) == "import os\nx = 2\ndef f():\n    pass\n"


def test_no_element_goes_beyond_its_line():
    change = [' """Begins', "+and ends", ' here."""', "-z = '''", "-'''", "", "+last = 1"]
    html = blocks.draw('diff title="src/a.py"', change)
    code = re.search(r"<code>(.*)</code>", html, re.DOTALL)[1]
    for line in re.findall(r"<(?:span|ins|del)><span class=\"sign\">.*?\n</(?:span|ins|del)>", code):
        assert len(re.findall("<(?:span|ins|del)", line)) == len(re.findall("</(?:span|ins|del)>", line))
    assert resulting(html) == '"""Begins\nand ends\nhere."""\n\nlast = 1\n'


def test_what_each_change_of_the_lessons_copies_is_its_context_and_added_lines():
    changes = [block for lesson in lessons.lessons() for block in lesson.blocks if block.kind == "change"]
    assert changes
    for block in changes:
        kept = [line[1:] for line in block.lines if line[:1] != "-" and line.rstrip() != "@@"]
        html = blocks.draw(f'diff title="{block.title}"', list(block.lines))
        assert resulting(html) == "\n".join(kept) + "\n", f"{block.where}:{block.line}"


def test_every_other_block_of_the_lessons_copies_as_it_stands():
    for lesson in lessons.lessons():
        for block in lesson.blocks:
            if block.kind != "change":
                info = f'{block.language} title="{block.title}"' if block.title else block.language
                html = blocks.draw(info, list(block.lines))
                assert resulting(html) == block.text + "\n", f"{block.where}:{block.line}"


@pytest.mark.parametrize(
    "info, kind, label",
    [
        ("shell", "command", "Terminal"),
        ("promql", "file", "PromQL"),
        ('json title="console"', "shown", "The app prints"),
        ('text title="output"', "shown", "Output"),
        ('console title="not run here: needs a Mac"', "shown", "Not run here: needs a Mac"),
        ('yaml title="docker-compose.yml"', "file", "docker-compose.yml"),
        ('diff title="src/run.sh"', "change", "src/run.sh"),
    ],
)
def test_each_kind_of_block_looks_different_and_says_what_it_is(info, kind, label):
    html = blocks.draw(info, [" a <b> & c"])
    assert html.startswith(f'<div class="highlight {kind}"')
    assert f'<span class="filename">{label}</span>' in html
    assert "a <b> & c" in Reader(html).text


# Slides


@pytest.mark.parametrize("deck", slides.decks(), ids=lambda deck: deck.parent.name)
def test_the_decks_show_what_the_lessons_hold(deck):
    slides.check(deck)
    assert len(slides.slides(deck.read_text(encoding="utf-8"))) >= 3


@pytest.mark.parametrize("deck", slides.decks(), ids=lambda deck: deck.parent.name)
def test_each_slide_tells_the_speaker_how_long_it_takes(deck):
    for slide in slides.slides(deck.read_text(encoding="utf-8")):
        assert re.search(r"\b\d+ minutes?\b", " ".join(slide.notes)), f"{deck}:{slide.line}"


def test_a_deck_is_one_page_with_a_section_for_each_slide(site):
    for deck in slides.decks():
        html = (site / deck.parent.name / "slides" / "index.html").read_text()
        count = len(slides.slides(deck.read_text(encoding="utf-8")))
        assert [tag for tag, _ in Reader(html).tags].count("section") == count
        assert html.count('<aside class="notes">') == count
        assert {f"/{number}" for number in range(count)} <= Reader(html).ids()
        assert f'<a href="../">{lessons.title(deck.with_name("README.md"))}</a>' in html
        assert 'href="slides/">Slides</a>' in (site / deck.parent.name / "index.html").read_text()


def test_a_line_of_dashes_in_a_block_begins_no_slide():
    text = '# One\n\n```yaml title="a.yml"\n---\nNote: b\n```\n\nNote: c\n\n---\n\n## Two\n'
    one, two = slides.slides(text)
    assert [line for line in one.notes if line] == ["c"]
    assert "---" in one.body
    assert (one.line, two.line) == (1, 11)


GOOD = '# Deck\n\n```python title="src/a.py"\none = 1\n```\n'


@pytest.mark.parametrize(
    "text, problem",
    [
        (GOOD.replace("one = 1", "one = 2"), "100/slides.md:3: after no lesson of 100 does src/a.py hold these lines"),
        ("# Deck\n\n```shell\nrm -rf /\n```\n", "100/slides.md:3: no lesson has a block with these lines"),
        (
            '# Deck\n\n```yaml title="docker-compose.yml"\nnot: there\n```\n',
            "100/slides.md:3: docker-compose.yml does not hold these lines",
        ),
        ("# Deck\n\n" + "line\n" * 8, "100/slides.md:1: the slide has 8 lines of text"),
        ("# Deck\n\n---\n" + "- item\n" * 8, "100/slides.md:4: the slide has 8 lines of text"),
        ("# Deck\n\n```shell\n" + "true\n" * 13 + "```\n", "100/slides.md:3: the block has 13 lines"),
        ("# Deck\n\n```python\none = 1\n```\n", "100/slides.md:3: a python block without a title"),
    ],
)
def test_a_slide_that_shows_something_else_is_an_error(small, text, problem):
    deck = small.write("100/slides.md", text)
    with pytest.raises(LessonError, match=re.escape(problem)):
        slides.check(deck, small.root)


def test_a_slide_may_quote_a_lesson_and_the_file_as_one_left_it(small):
    small.page("100/200", '# Next\n\n```diff title="src/a.py"\n-one = 1\n+one = 2\n```\n\n```shell\npython a.py\n```\n')
    quotes = '```shell\npython a.py\n```\n\n---\n\n```diff title="src/a.py"\n+one = 2\n```\n'
    slides.check(small.write("100/slides.md", f"{GOOD}\n---\n\n{quotes}"), small.root)


def test_a_chapter_that_writes_nothing_may_quote_the_finished_app(small):
    small.page("200", "# Talk\n")
    slides.check(small.write("200/slides.md", GOOD), small.root)


# How it is started


def test_a_port_that_is_taken_is_named_with_the_way_out(monkeypatch, tmp_path, capsys):
    mkdocs = tmp_path / ".venv" / "bin" / "mkdocs"
    mkdocs.parent.mkdir(parents=True)
    mkdocs.touch()
    monkeypatch.setattr(command, "ROOT", tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert command.main(["serve", "--port", str(port)]) == 1
    assert capsys.readouterr().err == f"Port {port} is taken. Take another one: make serve PORT={port + 1}\n"


def test_without_what_draws_it_it_says_how_to_get_that(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main(["build"]) == 1
    assert "make install-site" in capsys.readouterr().err


def test_the_pins_agree_with_those_of_the_lessons():
    def pins(path: Path) -> set[tuple[str, str]]:
        return set(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE))

    base = dict(pins(ROOT / "requirements.txt"))
    for path in (ROOT / folder / "requirements.txt" for folder in EXTRAS.values()):
        assert not {(name, version) for name, version in pins(path) if base.get(name, version) != version}
