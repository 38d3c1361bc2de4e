"""Prints each deck of the built site beside it: `site/100/slides.pdf`. Run by `make slides-pdf`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser

from workshop.course.fences import ROOT
from workshop.errors import UserError
from workshop.site import slides
from workshop.site.browser import chromium, served

# Slides leave the document for a frame and come back as pages, all in one step: reveal.js, js/controllers/printview.js.
LAID_OUT = "() => document.querySelector('.slides .pdf-page')"


def print_decks(browser: Browser, site: Path) -> list[Path]:
    """One PDF for each deck, one page for each slide; gives their paths."""
    made = []
    with served(site) as address:
        for deck in slides.decks():
            chapter = deck.parent.name
            page = browser.new_page()
            page.goto(f"{address}/{chapter}/slides/?print-pdf")
            page.wait_for_function(LAID_OUT)
            made.append(site / chapter / "slides.pdf")
            page.pdf(path=made[-1], prefer_css_page_size=True, print_background=True)
            page.close()
    return made


if __name__ == "__main__":
    try:
        with chromium() as browser:
            for path in print_decks(browser, ROOT / "site"):
                print(path.relative_to(ROOT))
    except UserError as error:
        sys.exit(str(error))
