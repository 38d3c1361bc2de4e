"""VictoriaLogs: the store of logs, and the client that asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from workshop.programs.instance import Answer, Instance, ProgramError
from workshop.programs.program import Archive, Port, Program
from workshop.setup.go import GoModule


class Logs(Instance):
    """A VictoriaLogs on this machine, or wherever its URL says."""

    def query(self, logsql: str, limit: int = 1000) -> list[dict[str, str]]:
        """The rows that a query in LogsQL answers with, each a field's name to its value; all values are text.

        Without a filter by `_time` all times are meant. Raises ProgramError, with what is wrong in the query."""
        answer = self.ask("/select/logsql/query", query=logsql, limit=limit)
        try:
            return [json.loads(line) for line in answer.splitlines()]
        except ValueError:
            raise ProgramError(f"there is no VictoriaLogs at {self.url}: it does not answer with rows") from None

    def until(self, question: Callable[[], Answer], seconds: float = 10) -> Answer:
        """Ask until the answer holds, or time is over. What it is sent it shows after a second by itself, and at once if told so."""

        def shown() -> Answer:
            with suppress(ProgramError):  # it may be starting yet
                self.ask("/internal/force_flush")
            return question()

        return super().until(shown, seconds)

    def check(self) -> None:
        self.query("*", limit=1)

    @property
    def otlp(self) -> str:
        """Where it takes logs, as OTLP over HTTP in protobuf (JSON it refuses)."""
        return f"{self.url}/insert/opentelemetry/v1/logs"

    def addresses(self) -> list[tuple[str, str]]:
        return [("page", f"{self.page}/select/vmui/"), ("OTLP over HTTP", self.otlp)]


LOGS = Program(
    name="logs",
    title="VictoriaLogs",
    version="1.52.1",
    ports={"http": Port(9428, "its page and API")},
    health=("http", "/health"),
    ask_version=("-version",),
    arguments=(
        "-httpListenAddr={host}:{http}",
        "-storageDataPath={data}",
        "-retentionPeriod=7d",
        "-inmemoryDataFlushInterval=1s",
    ),
    tools=("victoria-logs",),
    image="victoriametrics/victoria-logs:v{version}",
    archive=Archive(
        folder="VictoriaMetrics/VictoriaLogs/releases/download/v{version}",
        name="victoria-logs-{os}-{arch}-v{version}.tar.gz",
        member="{tool}-prod",
        sums="victoria-logs-{os}-{arch}-v{version}_checksums.txt",
        platforms=("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"),
    ),
    go=GoModule(
        module="github.com/VictoriaMetrics/VictoriaLogs",
        version="v1.52.1",
        package="./app/{tool}",
        needs=(1, 26, 5),
        stamp="github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
        disk=1e9,
        tag="victoria-logs-v{version}",
    ),
    instance=Logs,
    memory=0.1e9,
)
