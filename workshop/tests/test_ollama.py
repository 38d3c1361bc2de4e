"""300/800/500 where an Ollama answers: its check asks a model of it as well, and says so. The parrot stands in for it."""

import json
from pathlib import Path

import pytest

from workshop.checks.checkpoint import Checkpoint, Record
from workshop.checks.fake_server import FakeServer, response
from workshop.checks.sandbox import END
from workshop.course import lessons
from workshop.diagnosis.facts import Broken
from workshop.setup.ports import free_port

LESSON = lessons.find("300/800/500")


@pytest.fixture
def llm():
    """The checks of the lesson."""
    return lessons.load(LESSON.folder / "test_llm.py")


@pytest.fixture
def record():
    return Record()


@pytest.fixture
def checkpoint(tmp_path: Path, record: Record):
    made = Checkpoint(LESSON, END, tmp_path, lambda name: None, record)
    made.make_environment("300/800/500/llm-requirements.txt")
    return made


def answers(bird, tokens: int | None = None):
    """As the parrot does; with so many tokens, if it is said."""

    def answer(received):
        asked = {"json": json.loads(received.body)} if received.method == "POST" else {}
        told = bird.open(received.path, method=received.method, **asked)
        counted = {"prompt_eval_count": tokens, "eval_count": tokens} if tokens is not None and asked else {}
        return response(json.dumps({**told.get_json(), **counted}), told.status, content_type=told.content_type)

    return answer


def test_a_model_that_is_there_is_asked(llm, checkpoint, record, monkeypatch):
    with FakeServer(answers(llm.parrot(checkpoint))) as ollama:
        monkeypatch.setenv("OLLAMA_HOST", ollama.url)
        llm.ask_an_ollama(checkpoint)
        asked = [json.loads(request.body)["model"] for request in ollama.requests if request.path == "/api/chat"]
    assert asked == ["parrot"]
    assert record.notes == [f"What answers at {ollama.url} was asked, too: its model parrot."]


def test_one_that_counts_no_tokens_is_told(llm, checkpoint, monkeypatch):
    with FakeServer(answers(llm.parrot(checkpoint), tokens=0)) as ollama:
        monkeypatch.setenv("OLLAMA_HOST", ollama.url.removeprefix("http://"))
        with pytest.raises(Broken) as broken:
            llm.ask_an_ollama(checkpoint)
    assert broken.value.diagnosis.rung == "tokens-counted"


def test_where_none_is_it_is_said_that_a_stand_in_was_asked(llm, checkpoint, record, monkeypatch):
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("OLLAMA_HOST", url)
    llm.ask_an_ollama(checkpoint)
    assert record.notes == [f"No Ollama with a model answers at {url}: a stand-in was asked, which answers as one does."]
