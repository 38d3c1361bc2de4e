"""VictoriaLogs as the lessons use it: what is sent over OTLP is found by LogsQL or refused, and it has a page."""

import time
import urllib.error
import urllib.request

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from workshop.diagnosis.kept import DAYS
from workshop.programs.instance import ProgramError
from workshop.programs.logs import Logs
from workshop.tests.sdk import Work

pytestmark = pytest.mark.xdist_group("logs")


@pytest.fixture(scope="module")
def logs(beside) -> Logs:
    return beside("logs")


@pytest.fixture(scope="module")
def work(logs) -> Work:
    """Work whose event it has, three times."""
    done = Work()
    event = [record for record in done.logs if record.log_record.event_name]
    OTLPLogExporter(logs.otlp, headers={"VL-Stream-Fields": "service.name"}).export(event * 3)
    assert logs.until(lambda: len(logs.query("*")) == 3)
    return done


def test_a_record_is_found_by_its_trace_with_all_its_fields(logs, work):
    span = next(span for span in work.spans if span.name == "find")
    row, _, _ = logs.query(f"trace_id:={span.context.trace_id:032x}")
    assert row["span_id"] == f"{span.context.span_id:016x}"
    assert (row["service.name"], row["event_name"], row["items"]) == ("todo", "shop.closed", "5")
    assert row["_stream"] == '{service.name="todo"}'


def test_rows_are_counted_and_limited(logs, work):
    assert logs.query("* | stats by (service.name) count() n") == [{"service.name": "todo", "n": "3"}]
    assert len(logs.query("*", limit=2)) == 2
    assert logs.query("trace_id:=00") == []


def test_what_is_wrong_in_a_query_is_said(logs):
    with pytest.raises(ProgramError, match=r"VictoriaLogs answered 400 to .*cannot parse \"stats\" pipe"):
        logs.query("* | stats by (")


def emit(logs, **record) -> None:
    """Send one record, to a stream of its own."""
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(logs.otlp)))
    provider.get_logger("shop").emit(**record)
    provider.shutdown()


def test_json_and_a_doubled_path_are_refused_in_these_words(logs):
    for path, kind, said in (
        ("", "application/json", "json encoding isn't supported"),
        ("/v1/logs", "application/x-protobuf", "unsupported path"),
    ):
        asked = urllib.request.Request(f"{logs.otlp}{path}", b"{}", {"Content-Type": kind})
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(asked)
        assert said in refused.value.read().decode()
    assert logs.until(lambda: "json encoding isn't supported" in logs.log.read_text())


def test_what_is_older_than_the_retention_is_dropped_and_only_its_own_log_says_so(logs, caplog):
    emit(logs, timestamp=int(time.time()), body="in seconds")  # and not in nanoseconds
    assert logs.until(lambda: "too small timestamp=1970-01-01" in logs.log.read_text())
    assert 'vl_rows_dropped_total{reason="too_small_timestamp"} 1' in logs.ask("/metrics")
    assert not logs.query('"in seconds"') and not caplog.records
    assert f"-retentionPeriod={DAYS}d" in logs.program.arguments


def test_the_number_of_a_severity_is_the_same_for_all_and_its_text_is_not(logs):
    emit(logs, severity_number=SeverityNumber.ERROR, body="bare error")
    emit(logs, severity_number=SeverityNumber.ERROR, severity_text="ERROR", body="named error")
    rows = logs.until(lambda: sorted(logs.query("severity_number:>=17 error"), key=lambda row: row["_msg"])[1:])
    assert [row["severity_text"] for row in logs.query("severity_number:>=17 error | sort by (_msg)")] == [
        "Error",
        "ERROR",
    ] and rows
    assert not logs.query("severity:*") and not logs.query("level:*")


def test_without_stream_fields_a_process_is_a_stream(logs):
    emit(logs, body="no header")
    (row,) = logs.until(lambda: logs.query('"no header"'))
    assert 'service.instance.id="' in row["_stream"]


def test_it_brings_its_own_page(logs):
    rows = dict(logs.addresses())
    assert rows["page"] == f"{logs.url}/select/vmui/"
    assert "<html" in logs.ask("/select/vmui/")


def test_something_else_that_answers_is_no_victorialogs(beside):
    other = beside("jaeger")
    with pytest.raises(ProgramError, match="answered|there is no"):
        Logs(other.program, other.url, other.ports, other.folder).check()
