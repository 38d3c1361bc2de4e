"""What goes wrong where the work was meant for threads."""

import re

from workshop.diagnosis.facts import Diagnosis, Facts


def done_in_the_request(f: Facts) -> Diagnosis | None:
    """What the work raised became the request's answer."""
    failed = next((a for a in f.responses if a.path == "/import" and a.status == 500), None)
    if not failed or "the check refuses this step" not in f.output:
        return None
    places = [
        (f"src/{path}:{n}", line) for path, text in sorted(f.files.items()) for n, line in enumerate(text.splitlines(), 1)
    ]
    called = next((where for where, line in places if re.search(r"\.submit\(\s*\w+\(", line)), "")
    waited = next((where for where, line in places if ".result(" in line), "")
    return Diagnosis(
        "done-in-the-request",
        f"{failed}: status 500, for what the work on one task raised"
        + (f"; {called} calls the function, and submits what it returns" if called else "")
        + (f"; {waited} waits for the work, and raises what it raised" if waited and not called else ""),
        "an answer that neither does the work nor waits for it",
        "`submit` takes a function and its arguments apart, and calls it in a thread; a Future that is asked for its result waits",
        f"write the function without parentheses of its own in {called}: `submit(function, first, second)`"
        if called
        else f"take `.result()` out of {waited or 'the view'}; a done-callback sees what was raised, and nobody waits",
        "300/400/400",
    )


ANSWERS = (done_in_the_request,)
