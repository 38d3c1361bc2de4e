"""The site and the slides as a reader has them: seen, heard, by keyboard, on a phone, without any network."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from workshop.course import lessons
from workshop.course.fences import Block
from workshop.scenarios.incident import SOLVED, Incident
from workshop.scenarios.incident import page as post_mortem
from workshop.scenarios.simulator import Play
from workshop.site import slides
from workshop.site.pdf import print_decks
from workshop.tests.learner import right_answers

LESSON = "300/300/100"
QUIZZES = [f"/{lesson.name}/quiz/" for lesson in lessons.lessons() if "](quiz.md)" in lesson.readme.read_text()]
DECKS = [f"/{deck.parent.name}/slides/" for deck in slides.decks()]
PHONE = {"width": 390, "height": 844}
RULES = {"rules": {"target-size": {"enabled": True}}}  # a rule of WCAG 2.2, which axe leaves out unless it is asked for
MARK_IS_WEIGHTLESS = """heading => {
  const before = heading.offsetHeight
  heading.querySelector(".headerlink").remove()
  return heading.offsetHeight === before
}"""
FOCUSED = "element => element === document.activeElement"


def block(kind: str, title: str = "") -> Block:
    """The first block of the lesson of this kind."""
    return next(b for b in lessons.find(LESSON).blocks if b.kind == kind and title in b.title)


def tab_to(page: Page, target, limit: int = 150) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(limit):
        if target.evaluate(FOCUSED):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


def clipboard(page: Page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


# For everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/300/", f"/{LESSON}/", "/REFERENCES/", *QUIZZES, *DECKS])
def test_axe_finds_no_violation(visit, path, scheme):
    page = visit(path, color_scheme=scheme)
    page.locator("summary").evaluate_all("all => all.forEach(one => one.click())")
    found = Axe().run(page, options=RULES)
    assert not found.response["violations"], found.generate_report()


@pytest.mark.parametrize("path", ["/", "/200/300/", f"/{LESSON}/", "/300/300/300/", "/README/", *QUIZZES, DECKS[0]])
def test_axe_finds_no_violation_on_a_phone(visit, path):
    page = visit(path, viewport=PHONE)
    page.wait_for_load_state("load")
    found = Axe().run(page, options=RULES)
    assert not found.response["violations"], found.generate_report()


@pytest.mark.parametrize("scheme, ground", [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 31)")])
@pytest.mark.parametrize("path, element", [(f"/{LESSON}/", "body"), (DECKS[0], ".reveal-viewport"), ("/404.html", "body")])
def test_colors_are_those_of_the_readers_system(visit, path, element, scheme, ground):
    expect(visit(path, color_scheme=scheme).locator(element)).to_have_css("background-color", ground)


def test_the_keyboard_changes_the_colors_and_they_stay(visit):
    page = visit("/", color_scheme="light")
    tab_to(page, page.locator("input[name=__palette]").first)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
    page.goto(page.url + "300/")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")


def test_a_deck_has_the_colors_that_were_chosen_on_the_site(visit):
    page = visit("/", color_scheme="light")
    tab_to(page, page.locator("input[name=__palette]").first)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.goto(page.url.rstrip("/") + DECKS[0])
    expect(page.locator(".reveal-viewport")).to_have_css("background-color", "rgb(20, 23, 31)")


def test_the_keyboard_opens_hints_and_chapters(visit):
    page = visit(f"/{LESSON}/")
    page.keyboard.press("Tab")
    expect(page.locator(".md-skip")).to_be_focused()
    label = page.locator("label[id^=__nav_][id$=_label]:visible").first
    chapter = page.locator(f"#{label.get_attribute('for')}")
    expect(chapter).to_be_checked()
    tab_to(page, label)
    page.keyboard.press("Enter")
    expect(chapter).not_to_be_checked()
    hint = page.locator("details").first
    expect(hint.locator("p").first).not_to_be_visible()
    tab_to(page, hint.locator("summary"))
    page.keyboard.press("Enter")
    expect(hint.locator("p").first).to_be_visible()


def test_hints_and_solutions_are_closed_until_the_reader_opens_them(visit):
    page = visit(f"/{LESSON}/")
    assert page.locator("details").count() >= 2
    assert page.locator("details[open]").count() == 0
    solution = page.locator("details", has_text="One way")
    expect(solution.locator(".highlight.change")).not_to_be_visible()
    solution.locator("summary").click()
    expect(solution.locator(".highlight.change")).to_be_visible()


def test_a_phone_shows_a_lesson_without_scrolling_sideways(visit):
    page = visit(f"/{LESSON}/", viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".md-header label[for=__drawer]").click()
    expect(page.locator(".md-sidebar--primary").get_by_text("References")).to_be_visible()


def test_a_beamer_shows_a_lesson_larger(visit):
    desk = visit(f"/{LESSON}/").locator("article p").first.evaluate("p => parseFloat(getComputedStyle(p).fontSize)")
    wide = visit(f"/{LESSON}/", viewport={"width": 1920, "height": 1080})
    assert wide.locator("article p").first.evaluate("p => parseFloat(getComputedStyle(p).fontSize)") > desk >= 16


def test_a_waterfall_is_readable_on_a_phone_and_opens(visit):
    page = visit("/300/300/300/", viewport=PHONE)
    picture = page.locator("a.picture", has=page.locator("img")).first
    assert picture.locator("img").evaluate("img => img.clientWidth / img.naturalWidth") >= 0.8
    assert picture.evaluate("box => box.scrollWidth > box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    picture.click()
    page.wait_for_url(re.compile(r"trace\.svg$"))


def test_a_post_mortem_fits_a_phone_and_its_picture_is_readable(browser):
    play = Play(1, 1_795_761_380_000_000_000)
    incident = Incident(1, play.end_ns, "page: it burns", right_answers(play), end=SOLVED)
    spans = [span for span in play.spans if span.trace_id == incident.right["trace"]]
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.set_content(post_mortem(incident, spans))
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator("figure").evaluate("box => box.scrollWidth > box.clientWidth")


@pytest.mark.parametrize("width", [390, 1280])
def test_no_way_and_no_mark_of_a_heading_takes_room_that_is_not_there(visit, width):
    for lesson in lessons.lessons():
        page = visit(f"/{lesson.name}/", viewport={"width": width, "height": 844})
        path = page.locator(".md-path")
        assert path.evaluate("path => path.scrollWidth <= path.clientWidth"), lesson.name
        headings = page.locator("article :is(h1, h2, h3)").filter(has=page.locator(".headerlink"))
        assert headings.evaluate_all(f"all => all.every({MARK_IS_WEIGHTLESS})"), lesson.name
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.context.close()


def test_on_paper_a_name_is_not_parted_from_its_block(visit):
    page = visit(f"/{LESSON}/")
    page.emulate_media(media="print")
    name = page.locator(".highlight > .filename").first
    expect(name).to_have_css("break-after", "avoid")
    expect(page.locator(".highlight").first).to_have_css("overflow", "visible")
    expect(page.locator(".highlight button").first).not_to_be_visible()


# Blocks


def test_the_button_of_a_command_copies_the_command_alone(visit):
    page = visit(f"/{LESSON}/")
    page.locator(".highlight.command").first.get_by_role("button").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert clipboard(page) == block("command").text


def test_the_button_of_a_change_copies_the_resulting_lines(visit):
    page = visit(f"/{LESSON}/")
    button = page.get_by_role("button", name="Copy: src/run.sh").first
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(button).to_have_text("Copied")
    kept = [line[1:] for line in block("change").lines if line[0] != "-"]
    assert clipboard(page) == "\n".join(kept) + "\n"


def test_each_part_of_a_change_in_several_places_has_a_button_of_its_own(visit):
    lesson = lessons.find("300/400/400")
    change = next(b for b in lesson.blocks if b.kind == "change" and "@@" in b.lines)
    page = visit(f"/{lesson.name}/")
    buttons = page.locator(".highlight.change", has=page.locator(".gap")).first.get_by_role("button")
    parts = "\n".join(change.lines).split("\n@@\n")
    assert buttons.count() == len(parts) > 1
    copied = set()
    for number in range(len(parts)):
        buttons.nth(number).click()
        expect(buttons.nth(number)).to_have_text("Copied")
        copied.add(clipboard(page))
    assert copied == {"".join(f"{line[1:]}\n" for line in part.splitlines() if line[:1] != "-") for part in parts}


def test_a_class_that_gets_the_site_by_plain_http_can_copy_too(visit):
    page = visit(f"/{LESSON}/", script="Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator(".highlight.command").first.get_by_role("button").click()
    page.locator("input[name=query]").focus()
    page.keyboard.press("ControlOrMeta+V")
    expect(page.locator("input[name=query]")).to_have_value(block("command").text)


def test_what_the_app_prints_looks_different_and_has_no_button(visit):
    page = visit(f"/{LESSON}/")
    shown, typed = page.locator(".highlight.shown").first, page.locator(".highlight.command").first
    expect(shown.locator(".filename")).to_have_text("The app prints")
    assert page.locator(".highlight.shown button").count() == 0
    border = "e => getComputedStyle(e).borderStyle"
    assert shown.evaluate(border) != typed.evaluate(border)


def test_added_and_removed_lines_have_colors_of_their_own(visit):
    page = visit(f"/{LESSON}/")
    grounds = [
        page.locator(f".highlight.change {tag}").first.evaluate("e => getComputedStyle(e).backgroundColor")
        for tag in ("ins", "del", "code")
    ]
    assert len(set(grounds)) == 3


def test_marked_lines_that_are_copied_by_hand_have_no_signs(visit):
    page = visit(f"/{LESSON}/")
    page.locator(".highlight.change code").first.evaluate("code => getSelection().selectAllChildren(code)")
    page.keyboard.press("ControlOrMeta+C")
    kept = [line[1:] for line in block("change").lines if line[0] != "-"]
    assert clipboard(page).split() == " ".join(kept).split()


# Search


def test_search_finds_a_lesson(visit):
    page = visit("/")
    page.keyboard.press("/")
    page.keyboard.type("server span")
    result = page.locator(".md-search-result__link", has_text=lessons.find(LESSON).title).first
    expect(result).to_be_visible()
    result.click()
    page.wait_for_url(re.compile(f"/{LESSON}/"))


def test_search_finds_the_name_of_a_fault_and_not_its_parts(visit):
    page = visit("/")
    page.keyboard.press("/")
    page.keyboard.type("trace-broken")
    results = page.locator(".md-search-result__item")
    expect(results.first).to_be_visible()
    with_it = [lesson for lesson in lessons.lessons() if "trace-broken" in lesson.readme.read_text(encoding="utf-8")]
    assert results.count() == len(with_it) > 0


# Slides


@pytest.mark.parametrize("path", DECKS)
def test_every_slide_fits_and_the_keyboard_leads_through(visit, path):
    page = visit(path, viewport={"width": 1280, "height": 720})
    page.wait_for_function("Reveal.isReady()")
    count = page.evaluate("Reveal.getTotalSlides()")
    for number in range(count):
        section = page.locator("section.present")
        assert page.evaluate("Reveal.getSlidePastCount()") == number
        fits = section.evaluate("e => e.scrollHeight <= 720 && e.scrollWidth <= 1280")
        assert fits, f"slide {number + 1} is too full"
        assert section.locator("pre").evaluate_all("all => all.every(e => e.scrollWidth <= e.clientWidth)"), number + 1
        sizes = section.locator(":is(p, li, td, pre code)").evaluate_all("all => all.map(e => getComputedStyle(e).fontSize)")
        assert len(set(sizes)) <= 1, f"slide {number + 1} has letters of {sizes}"
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.isLastSlide()")


@pytest.mark.parametrize("how", [{"java_script_enabled": False}, {"viewport": PHONE}])
def test_a_deck_is_a_page_to_read_without_javascript_and_on_a_phone(visit, how):
    deck = slides.decks()[2]
    page = visit(f"{DECKS[2]}#/10", **how)
    tenth = page.locator("section").nth(10)
    expect(tenth.locator("h2")).to_be_in_viewport()
    assert page.locator("section").first.is_visible() and tenth.is_visible()
    expect(page.locator("section").first.locator("h1")).not_to_be_in_viewport()
    assert page.locator("section").count() == len(slides.slides(deck.read_text(encoding="utf-8")))
    page.locator("nav a").click()
    page.wait_for_url(re.compile(r"/300/$"))


def test_slides_begin_when_their_style_is_there(visit):
    page = visit(DECKS[0])
    (style,) = page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/reveal.css'))")
    assert style["renderBlockingStatus"] == "blocking"


def test_an_address_of_a_slide_opens_that_slide_and_leads_back(visit):
    page = visit(f"{DECKS[2]}#/10", viewport={"width": 1280, "height": 720})
    page.wait_for_function("Reveal.isReady()")
    assert page.evaluate("Reveal.getSlidePastCount()") == 10
    page.get_by_role("navigation", name="Where you are").get_by_role("link").click()
    page.wait_for_url(re.compile(r"/300/$"))


def test_the_speaker_sees_the_notes(visit):
    page = visit(DECKS[0])
    page.wait_for_function("Reveal.isReady()")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    first = slides.slides(slides.decks()[0].read_text(encoding="utf-8"))[0]
    expect(popup.value.locator(".speaker-controls-notes")).to_contain_text(" ".join(first.notes).split(".")[0].strip())


def test_a_deck_is_printed_one_slide_a_page(browser, site):
    for deck, pdf in zip(slides.decks(), print_decks(browser, site), strict=True):
        assert pdf == site / deck.parent.name / "slides.pdf"
        count = len(slides.slides(deck.read_text(encoding="utf-8")))
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf.read_bytes())) == count


# Speed: the best of three, because other work on the machine is not ours to measure
