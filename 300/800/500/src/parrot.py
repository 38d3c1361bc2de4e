"""A parrot at Ollama's port: it answers as Ollama does, at once, and always the same. A word is a token to it."""

import json
import time

from flask import Flask, request

MODELS = ("parrot", "slow", "prose", "refuses")
ADVICE = "Take the smallest one first."
REFUSAL = "I am sorry, but I cannot help with that."

app = Flask(__name__)


@app.get("/api/tags")
def tags():
    """The models that are there."""
    return {"models": [{"name": name, "model": name} for name in MODELS]}


@app.post("/api/chat")
@app.post("/api/generate")
def chat():
    """An answer to a talk, or to one prompt, whole or, where a stream is asked for, word by word."""
    asked = request.get_json()
    model = asked["model"]
    if model not in MODELS:
        return {"error": f"model '{model}' not found"}, 404
    if model == "slow":
        time.sleep(3)  # this model is slow on purpose: three times as long as the list waits
    words = said(model, asked.get("format")).split()
    heard = [message["content"] for message in asked.get("messages", ())] or [asked["prompt"]]
    read = sum(len(one.split()) for one in heard)
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": read, "eval_count": len(words)}
    if not asked["stream"]:
        return part(model, " ".join(words)) | end
    parts = [*(part(model, word + " ") for word in words), part(model, "") | end]
    return "".join(json.dumps(one) + "\n" for one in parts), {"Content-Type": "application/x-ndjson"}


@app.post("/v1/chat/completions")
def completions():
    """An answer as OpenAI's API has it, which Ollama speaks, too."""
    asked = request.get_json()
    message = {"role": "assistant", "content": said(asked["model"], None)}
    read, words = sum(len(one["content"].split()) for one in asked["messages"]), len(message["content"].split())
    usage = {"prompt_tokens": read, "completion_tokens": words, "total_tokens": read + words}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"], "choices": [choice], "usage": usage}


def said(model: str, shape: object) -> str:
    """What a model says: JSON only where a shape was asked for, for a model likes to talk."""
    if model == "refuses":
        return REFUSAL
    return json.dumps({"advice": ADVICE}) if shape and model != "prose" else f"Sure! {ADVICE} Can I help with more?"


def part(model: str, words: str) -> dict:
    return {"model": model, "message": {"role": "assistant", "content": words}, "response": words, "done": False}
