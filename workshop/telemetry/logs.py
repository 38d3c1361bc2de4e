"""Log records."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LogRecord:
    """One thing that was said. Times are nanoseconds since the epoch; `time_ns` is 0 where only the observation has one.

    `trace_id` and `span_id` are bare lower-case hex, and empty when no span was current. A record with an `event_name` is an
    event. `scope` is empty for records of the console, which does not print it."""

    body: object
    severity: str = ""
    severity_number: int = 0
    time_ns: int = 0
    observed_ns: int = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""
    attributes: dict = field(default_factory=dict)
    resource: dict = field(default_factory=dict)
    scope: str = ""

    @property
    def service(self) -> str:
        return self.resource.get("service.name", "")
