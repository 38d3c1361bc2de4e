"""What pages say of the SDK as it comes: an upgrade that changes it turns a test red that names the page."""

from opentelemetry.sdk._logs._internal import export as logs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import export as spans
from opentelemetry.sdk.trace import sampling

from workshop.course import lessons

SERIES = 2500


def page(lesson: str) -> str:
    return " ".join(lessons.find(lesson).readme.read_text(encoding="utf-8").split())


def test_a_batch_waits_as_long_and_is_as_large_as_300_900_300_says():
    queue, batch, delay = (
        spans._DEFAULT_MAX_QUEUE_SIZE,
        spans._DEFAULT_MAX_EXPORT_BATCH_SIZE,
        spans._DEFAULT_SCHEDULE_DELAY_MILLIS,
    )
    said = page("300/900/300")
    assert f"`OTEL_BSP_MAX_QUEUE_SIZE`, {queue} spans" in said
    assert f"`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, {batch}," in said
    assert f"`OTEL_BSP_SCHEDULE_DELAY`, {delay} ms" in said


def test_what_kill_costs_at_most_is_what_300_900_100_says(monkeypatch):
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL", raising=False)
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter())
    kept = logs._DEFAULT_SCHEDULE_DELAY_MILLIS, spans._DEFAULT_SCHEDULE_DELAY_MILLIS, reader._export_interval_millis
    reader.shutdown()
    assert kept == (1000, 5000, 60_000)
    assert "one second of records, five seconds of spans, and a *minute* of measurements" in page("300/900/100")


def test_samplers_have_the_six_names_of_300_900_200():
    alone = {name for name in sampling._KNOWN_SAMPLERS if not name.startswith("parentbased_")}
    assert set(sampling._KNOWN_SAMPLERS) == alone | {f"parentbased_{name}" for name in alone}
    assert "`always_on`, `always_off`, `traceidratio`, and each with `parentbased_` before it" in page("300/900/200")
    assert alone == {"always_on", "always_off", "traceidratio"}


def test_a_metric_has_as_many_series_as_it_is_given_as_300_500_200_says():
    reader = InMemoryMetricReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("shop").create_counter("asked")
    for number in range(SERIES):
        counter.add(1, {"id": number})
    points = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert len(points) == SERIES, "there is a limit now: 300/500/200 says that this release has none"
