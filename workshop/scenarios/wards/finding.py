"""What a ward has found."""

from __future__ import annotations

from dataclasses import dataclass, field

from workshop.diagnosis.facts import Diagnosis


@dataclass
class Finding:
    """What a ward has found: what is wrong, if anything, as the check and in one sentence; and what each program said."""

    ward: str
    red: Diagnosis | None = None
    wrong: str = ""
    said: dict[str, str] = field(default_factory=dict)
