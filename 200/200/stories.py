"""What the app must do for the people who use it. Each test is one story, told over HTTP."""

import html


def shown(page):
    """The text of a page as a person reads it."""
    return html.unescape(page.text)


def test_what_i_write_down_is_on_my_list(app):
    app.submit("/add", {"text": "Buy milk"})
    assert "Buy milk" in shown(app.get("/"))


def test_i_can_use_any_script_and_any_sign(app):
    for text in ["🪴 water the plants", "שלום עולם", "Tom & Jerry's <3"]:
        app.submit("/add", {"text": text})
        assert text in shown(app.get("/"))


def test_what_i_tick_off_is_still_there_and_marked(app):
    app.submit("/add", {"text": "Buy milk"})
    app.submit("/tasks/1/done")
    page = shown(app.get("/"))
    assert "Buy milk" in page and "0 left" in page


def test_i_can_take_a_tick_back(app):
    app.submit("/add", {"text": "Buy milk"})
    app.submit("/tasks/1/done")
    app.submit("/tasks/1/undo")
    assert "1 left" in shown(app.get("/"))


def test_what_i_delete_is_gone(app):
    app.submit("/add", {"text": "Buy milk"})
    assert "Buy milk" in shown(app.get("/"))
    app.submit("/tasks/1/delete")
    assert "Buy milk" not in shown(app.get("/"))


def test_my_list_is_still_there_tomorrow(start_app):
    with start_app() as evening:
        evening.submit("/add", {"text": "Buy milk"})
    with start_app() as morning:
        assert "Buy milk" in shown(morning.get("/"))


def test_a_mistake_of_mine_is_explained_and_my_words_are_kept(app):
    page = app.submit("/add", {"text": "x" * 300}, wanted=422)
    assert "at most 256" in shown(page) and "x" * 300 in page.text


def test_nobody_else_can_change_my_list(app):
    app.submit("/add", {"text": "Buy milk"})
    app.post("/tasks/1/delete", wanted=400)
    assert "Buy milk" in shown(app.get("/"))
