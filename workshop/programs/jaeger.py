"""Jaeger: the store of traces that lessons send to, and the client that asks it."""

from __future__ import annotations

import time
import urllib.parse

from workshop.programs import lifecycle
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.lifecycle import Service
from workshop.programs.program import Archive, Port, Program
from workshop.setup.go import GoModule
from workshop.telemetry.otlp import read_otlp
from workshop.telemetry.spans import Span

DAY = 24 * 3600  # seconds


class Jaeger(Instance):
    """A Jaeger on this machine, or wherever its URL says."""

    @property
    def query_url(self) -> str:
        return self.url

    @property
    def query_port(self) -> int:
        return self.port

    @property
    def grpc_port(self) -> int:
        return self.ports["grpc"]

    @property
    def http_port(self) -> int:
        return self.ports["http"]

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, none if Jaeger does not know it. Raises ProgramError when Jaeger does not answer."""
        return self._spans(f"/api/v3/traces/{trace_id}")

    def traces(self, service: str, operation: str = "", limit: int = 1000, since: float = 0) -> list[Span]:
        """The spans of a service's newest traces of the last 30 days, or since a time (seconds since the epoch).

        A search by tag is not in `/api/v3` of Jaeger 2.13.

        In OpenSearch each day has an index; Jaeger asks for all between the times by name, and it refuses some 140 as too long.
        Jaeger counts by arrival, and a batch of 512 spans has no order: below that limit the newest may be cut off."""
        query = {"service_name": service, "num_traces": limit, **({"operation_name": operation} if operation else {})}
        times = {"start_time_min": since or time.time() - 30 * DAY, "start_time_max": time.time() + DAY}
        query |= {name: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for name, at in times.items()}
        return self._spans("/api/v3/traces", **{f"query.{name}": value for name, value in query.items()})

    def services(self) -> list[str]:
        """The names of the services that have sent spans."""
        return sorted(self._json("services", "/api/v3/services"))

    def dependencies(self) -> list[dict]:
        """Which service calls which in the last day: `{"parent", "child", "callCount"}`. `/api/v3` does not have it."""
        return self._json("data", "/api/dependencies", endTs=int(time.time() * 1000), lookback=DAY * 1000)

    def check(self) -> None:
        self.services()

    def has_page(self) -> bool:
        """Whether it serves Jaeger's web page; one that Go built from its module does not."""
        try:
            return "This is not the Jaeger UI" not in self.ask("/")
        except ProgramError:
            return False

    def addresses(self) -> list[tuple[str, str]]:
        parts = urllib.parse.urlsplit(self.url)
        none = "none: this Jaeger was built by Go, without its web page; `workshop trace` draws traces here"
        return [
            ("page", self.page if self.has_page() else none),
            ("OTLP over gRPC", f"http://{parts.hostname}:{self.grpc_port}"),
            ("OTLP over HTTP", f"http://{parts.hostname}:{self.http_port}"),
        ]

    def details(self) -> list[tuple[str, str]]:
        return [("services", ", ".join(self.services()) or "none yet")]

    def _spans(self, path: str, **query: object) -> list[Span]:
        try:
            return read_otlp(self.ask(path, **query)).spans
        except ProgramError as error:
            if error.code == 404 and "No traces found" in str(error):
                return []
            raise
        except ValueError as error:
            raise ProgramError(f"there is no Jaeger at {self.url}: {error}") from None

    def _json(self, key: str, path: str, **query: object) -> list:
        """The list that an answer holds under a key; an empty one may be left out."""
        return self.json(path, **query).get(key) or []


JAEGER = Program(
    name="jaeger",
    title="Jaeger",
    version="2.13.0",
    ports={
        "query": Port(16686, "its page and API"),
        "health": Port(13133, "its health"),
        "grpc": Port(4317, "OTLP over gRPC"),
        "http": Port(4318, "OTLP over HTTP"),
    },
    health=("health", "/status"),
    ask_version=("version",),
    arguments=("--config={configuration}",),
    configuration="workshop/programs/jaeger.yaml",
    image="jaegertracing/jaeger:{version}",
    # Jaeger 2.13.0 and 1.76.0 are one commit and one release; the release and the Go module bear the tag of 1.x.
    archive=Archive(
        folder="jaegertracing/jaeger/releases/download/v1.76.0",
        name="jaeger-{version}-{os}-{arch}.tar.gz",
        member="jaeger-{version}-{os}-{arch}/{tool}",
        sums="jaeger-{version}.sha256sum.txt",
        platforms=("linux-amd64", "linux-arm64", "linux-s390x", "linux-ppc64le", "darwin-amd64", "darwin-arm64"),
    ),
    go=GoModule(
        module="github.com/jaegertracing/jaeger",
        version="v1.76.0",
        package="./cmd/{tool}",
        needs=(1, 24, 6),
        stamp="github.com/jaegertracing/jaeger/internal/version.latestVersion",
        disk=3.2e9,  # measured with empty caches: 1.3 GB of modules, 1.6 GB of what Go compiles
    ),
    instance=Jaeger,
    memory=0.1e9,
    for_all_lessons=True,
)


def configured() -> Jaeger:
    """The learner's Jaeger, whether it is up or not: the one that JAEGER_URL names, else that on its ports."""
    return Service(JAEGER).configured()


def for_checks() -> Jaeger:
    """A Jaeger for the checks of one session: its own on free ports where it is at hand, else the learner's.

    Raises ProgramError when there is neither."""
    return lifecycle.for_checks(JAEGER)
