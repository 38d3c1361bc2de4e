"""Whatever is wrong with where telemetry goes, or with what takes it: the app answers as it always does."""

from pathlib import Path

import pytest

from workshop.checks.fake_server import FakeServer, accept, refuse
from workshop.checks.sandbox import OTLP_HTTP
from workshop.tests.test_backend import speaks_tls
from workshop.tests.test_diagnosis import diff, turned

LESSON, SENDS = "300/300/300", "export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
# What becomes of a line of src/run.sh; TLS stands for a port that speaks it.
TROUBLE = {
    "TLS to a port without": (SENDS, SENDS.replace("http:", "https:")),
    "no TLS to a port with it": (SENDS, SENDS.replace("4318", "TLS")),
    "a path that is doubled": (SENDS, f"{SENDS}/v1/traces"),
    "a port at which nobody listens": (SENDS, SENDS.replace("4318", "9")),
    "an address that is none": (SENDS, SENDS.replace("http://localhost:4318", "nowhere")),
    "a proxy that is away": (SENDS, SENDS, "export http_proxy=http://127.0.0.1:9 no_proxy="),
    "a header that is none": (SENDS, SENDS, "export OTEL_EXPORTER_OTLP_HEADERS=key"),
    "a sampler that nobody knows": (SENDS, SENDS, "export OTEL_TRACES_SAMPLER=sometimes"),
    "a sampler without its argument": (SENDS, SENDS, "export OTEL_TRACES_SAMPLER=traceidratio"),
    "a queue smaller than its batch": (SENDS, SENDS, "export OTEL_BSP_MAX_QUEUE_SIZE=100"),
    "a backend that refuses the key": (SENDS, SENDS),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_the_app_answers(tmp_path: Path, trouble: str):
    takes = refuse(401, "who is it?") if trouble == "a backend that refuses the key" else accept
    with speaks_tls() as tls, FakeServer(takes) as backend:
        line, *others = (line.replace("TLS", str(tls)) for line in TROUBLE[trouble])
        checkpoint = turned(tmp_path, LESSON, diff("src/run.sh", f"-{line}", *(f"+{other}" for other in others)))
        checkpoint.sandbox.own_ports[OTLP_HTTP] = backend.port
        with checkpoint.serve() as app:
            app.submit("/add", {"text": "Buy milk"}, wanted=302)
            for _ in range(5):
                assert "Buy milk" in app.get("/", wanted=200).text
