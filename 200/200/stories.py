"""What the app must do for the people who use it. Each test is one story, told over HTTP."""

import html
import re


def shown(app):
    """The list as a person reads it."""
    return html.unescape(app.get("/").text)


def write_down(app, text):
    """Add a task, and return its number, which is the largest on the page."""
    app.submit("/add", {"text": text})
    return max(map(int, re.findall(r"/tasks/(\d+)/delete", shown(app))), default=0)


def left(app):
    """How many tasks are left, as the page says it."""
    return int(re.search(r"(\d+) left", shown(app))[1])


def test_what_i_write_down_is_on_my_list(app):
    write_down(app, "Buy milk")
    assert "Buy milk" in shown(app)


def test_i_can_use_any_script_and_any_sign(app):
    for text in ["🪴 water the plants", "שלום עולם", "Tom & Jerry's <3"]:
        write_down(app, text)
        assert text in shown(app)


def test_what_i_tick_off_is_still_there_and_counts_as_done(app):
    number = write_down(app, "Call Ada")
    before = left(app)
    app.submit(f"/tasks/{number}/done")
    assert "Call Ada" in shown(app) and left(app) == before - 1


def test_i_can_take_a_tick_back(app):
    number = write_down(app, "Feed the cat")
    before = left(app)
    app.submit(f"/tasks/{number}/done")
    app.submit(f"/tasks/{number}/undo")
    assert left(app) == before


def test_what_i_delete_is_gone(app):
    number = write_down(app, "Learn to juggle")
    assert "Learn to juggle" in shown(app)
    app.submit(f"/tasks/{number}/delete")
    assert "Learn to juggle" not in shown(app)


def test_a_mistake_of_mine_is_explained_and_my_words_are_kept(app):
    page = html.unescape(app.submit("/add", {"text": "x" * 300}, wanted=422).text)
    assert "at most 256" in page and "x" * 300 in page


def test_nobody_else_can_change_my_list(app):
    number = write_down(app, "Pay the rent")
    app.post(f"/tasks/{number}/delete", wanted=400)
    assert "Pay the rent" in shown(app)


def test_my_list_is_still_there_tomorrow(start_app):
    with start_app() as evening:
        write_down(evening, "Sleep well")
    with start_app() as morning:
        assert "Sleep well" in shown(morning)
