"""A browser that refuses every host but this machine, and the site that it looks at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route

from workshop.course.fences import ROOT
from workshop.site.__main__ import QUIET
from workshop.site.browser import chromium, served


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """This repository's site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ROOT / "mkdocs.yml", "-d", folder]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET}, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def address(site) -> Iterator[str]:
    with served(site) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser, address) -> Iterator[Callable[..., Page]]:
    """`visit(path, **how)` opens a page. Nothing may be asked of another host, and nothing may be missing."""
    contexts, elsewhere, failed = [], [], []

    def refuse(route: Route) -> None:
        elsewhere.append(route.request.url)
        route.abort()

    def open_page(path: str, script: str = "", **how) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        context.route(lambda url: urlsplit(url).hostname != "127.0.0.1", refuse)
        page = context.new_page()
        page.on("response", lambda response: response.ok or failed.append(response.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.add_init_script(script)
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not elsewhere
    assert not failed
