"""Ask a model one question: python ask.py ollama, or openai, traceloop; stream reads word by word, cut no more than one."""

import os
import sys

ASKED = [{"role": "user", "content": "What shall I do first?"}]


def ollama(asked: list = ASKED) -> str:
    from ollama import Client

    return Client().chat("parrot", asked).message.content


def stream(words: int = 99) -> str:
    from ollama import Client

    parts = Client().chat("parrot", ASKED, stream=True)
    return "".join(part.message.content for part, _ in zip(parts, range(words)))


def cut() -> str:
    return stream(words=1)


def openai() -> str:
    from openai import OpenAI

    host = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434")
    client = OpenAI(base_url=f"{host}/v1", api_key="none")
    return client.chat.completions.create(model="parrot", messages=ASKED).choices[0].message.content


def traceloop() -> str:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import workflow

    Traceloop.init(app_name="todo", exporter=ConsoleSpanExporter(), disable_batch=True)
    return workflow(name="advise")(ollama)(ASKED)


{"ollama": ollama, "stream": stream, "cut": cut, "openai": openai, "traceloop": traceloop}[sys.argv[1]]()
