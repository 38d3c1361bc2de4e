"""The OpenTelemetry Collector: what receives, changes and passes on telemetry, and the client that asks it."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from workshop.programs.instance import Instance
from workshop.programs.program import Archive, Port, Program
from workshop.programs.prometheus import Series, read_exposition
from workshop.setup.commands import Progress, Ticker, run
from workshop.setup.go import Go
from workshop.setup.ports import is_listening
from workshop.telemetry.otlp import Telemetry, read_otlp, write_otlp

MODULE = "go.opentelemetry.io/collector/cmd/builder"


class Collector(Instance):
    """A Collector on this machine, or wherever its URL says."""

    def hopeless(self) -> bool:
        """It says when all of it is started; if health is not there then, its configuration does not ask for it."""
        return "Everything is ready" in self.log.read_text(errors="replace") and not is_listening(self.ports["health"])

    def metrics(self) -> list[Series]:
        """What it counts of itself, such as `otelcol_receiver_accepted_spans__spans__total`; its configuration may close that."""
        at = Instance(self.program, f"http://127.0.0.1:{self.ports['metrics']}", self.ports, self.folder)
        return read_exposition(at.ask("/metrics"))

    def send(self, telemetry: Telemetry) -> None:
        """Hand it telemetry over OTLP, as an SDK does. What it accepts is its own from then on. Raises ProgramError."""
        for signal, message in write_otlp(telemetry).items():
            self.post(f"http://127.0.0.1:{self.ports['http']}/v1/{signal}", message)

    def written(self, name: str) -> Telemetry:
        """What its `file` exporter has written into `${env:COLLECTOR_DATA}/name`; nothing yet if there is no such file."""
        path = self.data / name
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.exists() else ""
        return read_otlp(whole)


@dataclass(frozen=True)
class FromManifest:
    """The Collector of a manifest, as its official builder makes it. `{version}` in the manifest is the Collector's."""

    manifest: Path
    needs: tuple[int, ...]
    disk: float

    def __str__(self) -> str:
        return MODULE

    @property
    def edition(self) -> str:
        """Other components make another Collector of the same version."""
        return hashlib.sha256(self.manifest.read_bytes()).hexdigest()[:8]

    def build(self, go: Go, version: str, tools: tuple[str, ...], folder: Path, progress: Progress) -> None:
        """Build the Collector into `folder`. Raises CommandFailed."""
        source = folder / "source"
        source.mkdir()
        progress("Go: building the builder of the Collector")
        go.run("install", f"{MODULE}@v{version}", GOBIN=str(source))
        manifest = self.manifest.read_text(encoding="utf-8").replace("{version}", version)
        (source / self.manifest.name).write_text(manifest, encoding="utf-8")
        path = os.pathsep.join([str(go.command.parent), go.env.get("PATH", os.defpath)])
        ticker = Ticker(progress)
        command = [source / "builder", f"--config={self.manifest.name}", "--skip-compilation"]
        tick = lambda: ticker("Go: finding the modules of the Collector")  # noqa: E731
        run(command, {**go.env, "PATH": path}, source, on_tick=tick)
        go.build({".": folder / tools[0]}, source, progress)
        shutil.rmtree(source)


COLLECTOR = Program(
    name="collector",
    title="Collector",
    version="0.159.0",
    ports={
        "health": Port(5316, "its health"),
        "grpc": Port(5317, "OTLP over gRPC"),
        "http": Port(5318, "OTLP over HTTP"),
        "metrics": Port(5319, "its own metrics", optional=True),
        "exported": Port(5320, "metrics to be scraped", optional=True),
        "zpages": Port(5321, "its zPages", optional=True),
    },
    health=("health", "/"),
    ask_version=("--version",),
    arguments=("--config={configuration}",),
    configuration="src/otel/collector.yaml",
    default="workshop/programs/collector.yaml",
    tools=("otelcol-contrib",),
    image="otel/opentelemetry-collector-contrib:{version}",
    archive=Archive(
        folder="open-telemetry/opentelemetry-collector-releases/releases/download/v{version}",
        name="otelcol-contrib_{version}_{os}_{arch}.tar.gz",
        member="{tool}",
        sums="opentelemetry-collector-releases_otelcol-contrib_checksums.txt",
        platforms=("linux-amd64", "linux-arm64", "linux-ppc64le", "linux-s390x", "darwin-amd64", "darwin-arm64"),
    ),
    go=FromManifest(Path(__file__).with_name("ocb.yaml"), needs=(1, 25, 0), disk=3e9),
    instance=Collector,
    memory=0.15e9,
)
