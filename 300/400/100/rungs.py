"""What only spans of one's own can have wrong."""

from __future__ import annotations

from workshop.diagnosis.facts import Diagnosis, Facts


def ended_span(f: Facts) -> Diagnosis | None:
    if "Setting attribute on ended span" not in f.output:
        return None
    return Diagnosis(
        "ended-span",
        "the app said: Setting attribute on ended span.",
        "attributes that are set while their span is open",
        "the end of the `with` block ends the span; what is set after it is thrown away",
        "move `set_attribute` into the block of its span",
        "300/400/100",
    )


SPANS = (ended_span,)
