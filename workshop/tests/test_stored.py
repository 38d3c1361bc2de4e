"""What a check says of metrics that are not in Prometheus, or not as they seem; and of a file in which a program stumbled."""

import threading

import pytest

from workshop.checks.fake_server import FakeServer, response
from workshop.diagnosis.facts import Broken
from workshop.diagnosis.read_files import stumbled
from workshop.programs.lifecycle import for_checks
from workshop.programs.prometheus import PROMETHEUS, Prometheus
from workshop.tests.finished import Finished

pytestmark = pytest.mark.xdist_group("prometheus")

PAGE = "# TYPE asked_total counter\nasked_total {}\n# TYPE busy gauge\nbusy {}\n"
SCRAPES = """
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - {{job_name: alone, static_configs: [{{targets: ["{alone}"]}}]}}
  - {{job_name: shared, static_configs: [{{targets: ["{shared}"]}}]}}
"""


class Watched(Finished):
    """A run under the agent."""

    def facts(self, **more):
        return super().facts(
            **{
                "files": {
                    "run.sh": "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nopentelemetry-instrument flask run -p 5001\n"
                },
                **more,
            }
        )


class Workers:
    """Processes behind one port, each with a counter of its own: requests meet them in turn."""

    def __init__(self, *asked: int):
        self._asked, self._turn, self._lock = list(asked), 0, threading.Lock()

    def __call__(self, _) -> bytes:
        with self._lock:
            worker = self._turn % len(self._asked)
            self._turn += 1
            self._asked[worker] += 1
            return response(PAGE.format(self._asked[worker], self._turn % 3), Content_Type="text/plain; version=0.0.4")


@pytest.fixture(scope="module")
def scraping(brought, tmp_path_factory) -> Prometheus:
    """One that scrapes an app of one process, and an app of three, until both were asked some times."""
    brought("prometheus")
    configuration = tmp_path_factory.mktemp("otel") / "prometheus.yml"
    with FakeServer(Workers(5)) as alone, FakeServer(Workers(40, 12, 7)) as shared:
        targets = {name: server.url.removeprefix("http://") for name, server in (("alone", alone), ("shared", shared))}
        configuration.write_text(SCRAPES.format(**targets))
        with for_checks(PROMETHEUS, configuration) as started:
            assert started.until(lambda: len(started.query("count_over_time(asked_total[1m]) >= 8")) == 2)
            yield started


def test_one_process_behind_its_address_is_fine(scraping):
    Watched("").scraped(scraping, "alone")


def test_workers_that_share_a_port_are_told_from_restarts(scraping):
    with pytest.raises(Broken, match="fell [0-9]+ times") as broken:
        Watched("").scraped(scraping, "shared")
    assert broken.value.diagnosis.rung == "scrape-shared"


def test_what_a_shared_port_costs_is_an_invented_rate(scraping):
    """Each was asked some ten times in all, and the three seem to have been asked hundreds of times."""
    grown = {series.labels["job"]: series.value for series in scraping.query("increase(asked_total[1m] anchored)")}
    assert grown["alone"] < 40 < grown["shared"]


def test_a_job_that_nobody_wrote_down_is_missed(scraping):
    with pytest.raises(Broken) as broken:
        Watched("").scraped(scraping, "postgres")
    assert broken.value.diagnosis.rung == "no-target"


def test_a_counter_that_is_asked_for_by_its_name_in_the_app_gets_its_ending(scraping):
    with pytest.raises(Broken, match="there is asked_total") as broken:
        Watched("").in_prometheus(scraping, "sum(rate(asked[5m]))")
    assert broken.value.diagnosis.rung == "counter-without-total"


def test_another_name_that_is_not_there_is_only_not_there(scraping):
    with pytest.raises(Broken, match="comes to nothing(?s:.*)asked_total") as broken:
        Watched("").in_prometheus(scraping, "nothing_like_it")
    assert broken.value.diagnosis.rung == "not-in-prometheus"


def test_a_value_that_is_another_is_told_with_its_series(scraping):
    with pytest.raises(Broken, match="expected  -1") as broken:
        Watched("").in_prometheus(scraping, 'asked_total{job="alone"}', exactly=-1)
    assert broken.value.diagnosis.rung == "metric-value"


SAID = 'msg="Error loading config (--config.file=src/otel/prometheus.yml)" err="'
RULES = r"parse rules from file \"src/otel/rules.yml\" (pattern: \"otel/rules.yml\"): src/otel/rules.yml: "
PLACES = {
    "a key": (r"parsing YAML file src/otel/prometheus.yml: yaml: unmarshal errors:\n  line 2: field scrape_intervall not found in "
              'type config.plain"', "prometheus.yml:2", "field scrape_intervall"),
    "a tab": ('parsing YAML file src/otel/prometheus.yml: yaml: line 2: found character that cannot start any token"',
              "prometheus.yml:3", "a tab"),
    "a key twice": (RULES + r"yaml: unmarshal errors:\n  line 6: mapping key \"expr\" already defined at line 5\nsrc/otel/rules.yml: "
                    'yaml: unmarshal errors"', "rules.yml:6", '"expr" already defined at line 5'),
    "a query": (RULES + r'5:15: group \"a\", rule 1, \"x\": could not parse expression: 1:17: parse error: unclosed left parenthesis"',
                "rules.yml:5", "unclosed left parenthesis"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_where_a_program_stumbled_is_file_and_line(case):
    said, place, problem = PLACES[case]
    files = {"otel/prometheus.yml": "global:\n  scrape_interval: 5s\n\tevaluation_interval: 5s\n"}
    assert stumbled(SAID + said, "otel/prometheus.yml", files)[0] == f"src/otel/{place}"
    assert problem in stumbled(SAID + said, "otel/prometheus.yml", files)[1]


def test_a_collector_names_the_line_of_its_one_file():
    said = 'Error: the contents are not valid YAML: yaml: unmarshal errors:   line 33: mapping key "batch" already defined at line 32'
    assert stumbled(said, "otel/collector.yaml", {})[0] == "src/otel/collector.yaml:33"


def test_where_no_line_is_named_none_is_invented():
    assert stumbled(SAID + 'not a valid duration string: \\"5\\""', "otel/prometheus.yml", {}) == ("", "")
