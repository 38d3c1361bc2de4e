"""VictoriaLogs as the lessons use it: what is sent over OTLP is found by LogsQL, and it has a page."""

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

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


def test_it_brings_its_own_page(logs):
    rows = dict(logs.addresses())
    assert rows["page"] == f"{logs.url}/select/vmui/"
    assert "<html" in logs.ask("/select/vmui/")


def test_something_else_that_answers_is_no_victorialogs(beside):
    other = beside("jaeger")
    with pytest.raises(ProgramError, match="answered|there is no"):
        Logs(other.program, other.url, other.ports, other.folder).check()
