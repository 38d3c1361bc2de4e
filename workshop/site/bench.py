"""What the site takes: seconds to build it, to paint a lesson, to open a deck; kilobytes of the heaviest page.

`.venv/bin/python -m workshop.site.bench` prints the table. It needs what `make install-browser` brings, and Chromium.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

from workshop.course.fences import ROOT
from workshop.course.lessons import lessons
from workshop.errors import UserError
from workshop.site import slides
from workshop.site.__main__ import QUIET
from workshop.site.browser import chromium, served

RUNS = 5
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
OPENED = "window.Reveal?.isReady() && performance.now()"


def rows() -> list[tuple[str, str, str]]:
    """What is measured (medians), what it was, and what it may be.

    Raises UserError when there is no browser."""
    longest = max(lessons(), key=lambda lesson: lesson.readme.stat().st_size).name
    deck = slides.decks()[0].parent.name
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        site = Path(folder)
        built = statistics.median(_build(site) for _ in range(3))
        weight = max(map(_weight, site.rglob("index.html")))
        with served(site) as address:
            painted = _opened(browser, f"{address}/{longest}/", PAINTED)
            opened = _opened(browser, f"{address}/{deck}/slides/", OPENED)
    return [
        ("the site, built", f"{built:.1f} s", "5 s"),
        ("its heaviest page, without figures and search", f"{weight / 1000:.0f} kB", "300 kB"),
        ("the longest lesson, painted", f"{painted:.2f} s", "1 s"),
        ("a deck, opened", f"{opened:.2f} s", "2 s"),
    ]


def _build(site: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", ROOT / "mkdocs.yml", "-d", site]
    subprocess.run(command, check=True, env={**os.environ, **QUIET}, cwd=ROOT)
    return time.monotonic() - began


def _weight(page: Path) -> int:
    parts = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^":]+\.(?:js|css))"', page.read_text(encoding="utf-8"))
    return page.stat().st_size + sum((page.parent / part).stat().st_size for part in parts)


def _opened(browser: Browser, address: str, moment: str) -> float:
    times = []
    for _ in range(RUNS):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        times.append(page.wait_for_function(moment).json_value() / 1000)
        context.close()
    return statistics.median(times)


if __name__ == "__main__":
    from workshop.dev.bench import show

    try:
        show(rows())
    except UserError as error:
        sys.exit(str(error))
