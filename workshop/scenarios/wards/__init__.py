"""The wards of the clinic: what is examined of a `src/` to say that its telemetry is right, by the verbs of the lessons.

A ward takes one or two seconds, for many faults are proved on it, and a learner waits.
"""

from __future__ import annotations

from workshop.checks.checkpoint import Checkpoint
from workshop.diagnosis.facts import Broken
from workshop.scenarios.wards import app, collector, prometheus
from workshop.scenarios.wards.finding import Finding

WARDS = {"app": app, "collector": collector, "prometheus": prometheus}


def examine(checkpoint: Checkpoint, ward: str) -> Finding:
    """Examine a copy of `src/` on a ward."""
    found = Finding(ward)
    try:
        WARDS[ward].examine(checkpoint, found)
    except Broken as broken:
        found.red = broken.diagnosis
    return found
