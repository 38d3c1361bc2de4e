"""The advisor asks a language model. Where that has no word of advice, or none in time, the rule has one."""

import json
import os

import httpx
import ollama
from flask import request
from opentelemetry import trace

from advisor import app

MODEL = os.environ["ADVISOR_MODEL"]
SHAPE = {"type": "object", "properties": {"advice": {"type": "string"}}, "required": ["advice"]}

client = ollama.Client(timeout=float(os.environ["ADVISOR_SECONDS"]))


@app.before_request
def ask_the_model():
    """Answer in the place of the rule, if the model has a word."""
    if request.endpoint != "advice":
        return None
    word = ask(request.args.get("left", 0, type=int))
    trace.get_current_span().set_attribute("todo.advice.by", "model" if word else "rule")
    return {"advice": word} if word else None


def ask(left: int) -> str:
    """A word of advice for a list with so many tasks left; nothing where the model has none."""
    question = f"My list has {left} open tasks. Answer with one short sentence of advice, as JSON."
    asked = [{"role": "user", "content": question}]
    try:
        answer = client.chat(MODEL, asked, format=SHAPE, think=False, options={"num_predict": 60})
        word = json.loads(answer.message.content)["advice"]
    except (ollama.ResponseError, httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
        return ""
    return word if isinstance(word, str) and word.isprintable() else ""
