"""What only a language model can have wrong: it is not there, has no time, or says what nobody asked for."""

from __future__ import annotations

from workshop.diagnosis.facts import Diagnosis, Facts
from workshop.telemetry.spans import Span

HERE = "300/800/500"
MODEL = "gen_ai.request.model"
RULE = "Begin with the oldest."  # for three tasks


def model_missing(f: Facts) -> Diagnosis | None:
    failed = next((span for span in _asked(f) if span.status == "ERROR" and "not found" in span.status_text), None)
    if not failed:
        return None
    name = failed.attributes[MODEL]
    return Diagnosis(
        "model-missing",
        f"{failed.name}: {failed.status_text}",
        "a model that Ollama has",
        "a model is asked for by its whole name, and Ollama does not fetch one by itself",
        f"`ollama pull {name}`, or name one of `ollama list`: ADVISOR_MODEL in src/llm.sh, which src/advisor/model.py reads",
        HERE,
    )


def model_slow(f: Facts) -> Diagnosis | None:
    failed = next((span for span in _asked(f) if "Timeout" in str(span.attributes.get("error.type"))), None)
    if not failed:
        return None
    return Diagnosis(
        "model-slow",
        f"{failed.name}: {failed.attributes['error.type']} after {(failed.end_ns - failed.start_ns) / 1e9:.4f} s",
        "an answer in time",
        "a model that is loaded first, or has no GPU, takes seconds; and ADVISOR_SECONDS is seconds, not milliseconds",
        "give it more time, as in `ADVISOR_SECONDS=30 sh llm.sh`, or take a smaller model",
        HERE,
    )


def model_talks(f: Facts) -> Diagnosis | None:
    answered = any(span.status != "ERROR" for span in _asked(f))
    if not answered or not any(RULE in response.text for response in f.asked):
        return None
    return Diagnosis(
        "model-talks",
        "the model has answered, and the rule's word was taken",
        "the advice out of a JSON object",
        "a model that is not told the shape of its answer talks, and no two talk alike",
        "give `chat` the shape of the answer as `format`, and take `advice` out of it",
        HERE,
    )


def _asked(f: Facts) -> list[Span]:
    """The spans of questions to a model in the traces of the requests that the check is about."""
    traces = {span.trace_id for response in f.asked for span in f.spans_of(response)}
    return [span for span in f.spans if span.trace_id in traces and MODEL in span.attributes]


SPANS = (model_missing, model_slow, model_talks)
