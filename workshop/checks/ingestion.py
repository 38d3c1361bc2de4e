"""A server of the check's own, in the place of Azure Application Insights."""

from __future__ import annotations

import json
from dataclasses import dataclass

from workshop.checks.fake_server import Answer, FakeServer, Parts, Received, refuse, response

PATH = "/v2.1/track"


@dataclass(frozen=True)
class Envelope:
    """One item as Azure takes it. `kind` is Request, RemoteDependency, Exception, Message or Metric; `data` is what it says,
    `tags` whose it is, and `rate` the percentage of its like that was sent (100 where it does not say)."""

    kind: str
    data: dict
    tags: dict[str, str]
    key: str
    rate: float = 100.0

    @property
    def trace_id(self) -> str:
        return self.tags.get("ai.operation.id", "")

    @property
    def parent_id(self) -> str | None:
        return self.tags.get("ai.operation.parentId")

    def __str__(self) -> str:
        return f"{self.kind} {self.data.get('name') or self.data.get('message', '')}".strip()


class Ingestion(FakeServer):
    """Takes envelopes at `POST /v2.1/track` while its `with` block lasts, or answers by a script, as a `FakeServer` does."""

    def __init__(self, *script: Answer, port: int = 0):
        super().__init__(*(script or (take,)), port=port)

    @property
    def envelopes(self) -> list[Envelope]:
        """The items of all requests that were accepted."""
        return [item for request in list(self.requests) if request.accepted for item in items(request)]

    def of(self, kind: str, trace_id: str = "") -> list[Envelope]:
        """Those of one kind, of one trace where it is given."""
        return [item for item in self.envelopes if item.kind == kind and trace_id in ("", item.trace_id)]

    def metrics(self, name: str) -> list[tuple[dict, dict]]:
        """The points of a metric, each with its properties."""
        found = [(point, item.data["properties"]) for item in self.of("Metric") for point in item.data["metrics"]]
        return [(point, properties) for point, properties in found if point["name"] == name]


def take(received: Received) -> Parts:
    """What Azure says that takes all of it, or 400 and the like where it cannot."""
    if received.method != "POST" or received.path.replace("//", "/") != PATH:
        return refuse(404, f"{received.method} {received.path} is not POST {PATH}")
    try:
        count = len(items(received))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return refuse(400, f"no list of envelopes: {error!r}")
    answer = {"itemsReceived": count, "itemsAccepted": count, "errors": []}
    return response(json.dumps(answer), content_type="application/json")


def items(received: Received) -> list[Envelope]:
    """The envelopes in the body of a request. Raises ValueError, KeyError or the like where it is no list of them."""
    return [
        Envelope(
            item["data"]["baseType"].removesuffix("Data"),
            item["data"]["baseData"],
            item.get("tags", {}),
            item["iKey"],
            item.get("sampleRate") or 100.0,
        )
        for item in json.loads(received.body)
    ]
