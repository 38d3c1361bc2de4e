"""Grafana's files as a learner may leave them: each fault names the file, and the line or the panel."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from workshop.course.fences import ROOT
from workshop.programs.program import programs
from workshop.scenarios import boards

PANEL = {"title": "A", "type": "stat", "datasource": {"uid": "p"}, "targets": [{"expr": "up"}]}
BOARD = {"uid": "b", "title": "B", "schemaVersion": 41, "panels": [PANEL]}
SOURCE = "datasources: [{name: P, uid: p, type: prometheus, url: 'http://localhost:9090'}]"


def written(folder: Path, board: str = "", sources: str = SOURCE) -> Path:
    for name, text in {"dashboards/b.json": board or json.dumps(BOARD), "grafana/datasources/s.yaml": sources}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def without(key: str) -> str:
    panel = {name: value for name, value in PANEL.items() if name != key}
    return json.dumps({**BOARD, "panels": [PANEL, panel]})


@pytest.mark.parametrize(
    "board, where",
    [
        ('{\n  "panels": [,]\n}', "src/otel/dashboards/b.json:2"),
        ("", "src/otel/dashboards/b.json:1"),
        ("[]", "src/otel/dashboards/b.json"),
        (json.dumps({**BOARD, "uid": ""}), "src/otel/dashboards/b.json"),
        (json.dumps({**BOARD, "panels": {}}), "src/otel/dashboards/b.json"),
        (without("title"), "src/otel/dashboards/b.json, panel 2"),
        (without("datasource"), "src/otel/dashboards/b.json, panel 2 (A)"),
        (without("targets"), "src/otel/dashboards/b.json, panel 2 (A)"),
        (json.dumps({**BOARD, "panels": [{**PANEL, "targets": [{"query": "up"}]}]}), "src/otel/dashboards/b.json, panel 1 (A)"),
        (
            json.dumps({**BOARD, "panels": [{**PANEL, "targets": [{"refId": "A", "expr": "up"}] * 2}]}),
            "src/otel/dashboards/b.json, panel 1 (A)",
        ),
    ],
)
def test_a_fault_of_a_board_is_named_with_its_place(tmp_path: Path, board: str, where: str):
    folder = written(tmp_path, board)
    if not board:
        (folder / "dashboards/b.json").write_text("")
    with pytest.raises(boards.BoardError) as found:
        boards.panels(folder)
    assert found.value.where == where


@pytest.mark.parametrize(
    "text, where",
    [
        ("datasources:\n\t- name: P", "src/otel/grafana/datasources/s.yaml:2"),
        ("sources: []", "src/otel/grafana/datasources/s.yaml"),
        ("datasources: [{name: P, uid: p, type: prometheus}]", "src/otel/grafana/datasources/s.yaml"),
        (
            SOURCE.replace("]", ", {name: Q, uid: p, type: jaeger, url: 'http://localhost:1'}]"),
            "src/otel/grafana/datasources/s.yaml",
        ),
        (
            SOURCE.replace("}", ", jsonData: {exemplarTraceIdDestinations: {name: x}}}"),
            "src/otel/grafana/datasources/s.yaml, p",
        ),
        (SOURCE.replace("}", ", jsonData: {tracesToLogsV2: logs}}"), "src/otel/grafana/datasources/s.yaml, p"),
        (SOURCE.replace("P", "P\b"), "src/otel/grafana/datasources/s.yaml"),
    ],
)
def test_a_fault_of_the_data_sources_is_named_with_its_place(tmp_path: Path, text: str, where: str):
    with pytest.raises(boards.BoardError) as found:
        boards.sources(written(tmp_path, sources=text))
    assert found.value.where == where


@pytest.mark.parametrize("url", ["localhost:9090", "http://localhost", "ftp://localhost:9090", "http://localhost:909O"])
def test_an_address_that_is_none_is_named(tmp_path: Path, url: str):
    [source] = boards.sources(written(tmp_path, sources=SOURCE.replace("http://localhost:9090", url))).values()
    with pytest.raises(boards.BoardError, match=r"s\.yaml, p: the url"):
        _ = source.store


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path):
    folder = written(tmp_path)
    (folder / "dashboards/b.json").write_bytes('{\n  "title": "Übersicht"\n}'.encode("latin-1"))
    with pytest.raises(boards.BoardError, match=r"dashboards/b\.json:2: no UTF-8"):
        boards.panels(folder)


def test_of_two_boards_with_one_uid_grafana_takes_neither(tmp_path: Path):
    folder = written(tmp_path)
    (folder / "dashboards/c.json").write_text(json.dumps({**BOARD, "title": "C"}))
    with pytest.raises(boards.BoardError, match=r"c\.json: the uid b is that of src/otel/dashboards/b\.json, too"):
        boards.panels(folder)


def test_a_row_and_a_text_ask_nothing_and_what_a_row_holds_is_asked(tmp_path: Path):
    texts = [{"type": "text", "options": {"content": "hello"}}, {"type": "row", "title": "R", "panels": []}]
    row = {"type": "row", "title": "S", "collapsed": True, "panels": [{**PANEL, "title": "B"}]}
    folder = written(tmp_path, json.dumps({**BOARD, "panels": [*texts, PANEL, row]}))
    assert [panel.where for panel in boards.panels(folder)] == [
        "src/otel/dashboards/b.json, panel 3 (A)",
        "src/otel/dashboards/b.json, panel 4.1 (B)",
    ]


def test_a_board_in_a_folder_is_read_too(tmp_path: Path):
    folder = written(tmp_path)
    (folder / "dashboards/team").mkdir()
    (folder / "dashboards/team/c.json").write_text(json.dumps({**BOARD, "uid": "c"}))
    assert [panel.where for panel in boards.panels(folder)][1:] == ["src/otel/dashboards/team/c.json, panel 1 (A)"]


def test_variables_are_those_of_the_environment_and_two_dollar_signs_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STORE", "http://localhost:1234")
    text = "datasources: [{name: P, uid: p, type: prometheus, url: $STORE, jsonData: {a: '$${x}', b: '${x.y}', c: [$STORE]}}]"
    [source] = boards.sources(written(tmp_path, sources=text)).values()
    assert source.url == "http://localhost:1234"
    assert source.more == {"a": "${x}", "b": "", "c": ["http://localhost:1234"]}


def test_a_window_that_is_left_to_grafana_is_put_in():
    assert boards.Question("rate(x[$__rate_interval]) + rate(y[${__range}])").over("5m") == "rate(x[5m]) + rate(y[5m])"


def test_the_container_reads_the_learners_files_and_asks_the_programs_of_this_workshop():
    service = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]["grafana"]
    read = {volume["source"]: volume["target"] for volume in service["volumes"]}
    provider = YAML(typ="safe").load(ROOT / "src/otel/grafana/dashboards/files.yaml")["providers"][0]
    assert read == {"./src/otel/grafana": "/etc/grafana/provisioning", "./src/otel/dashboards": provider["options"]["path"]}
    assert service["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    of = programs()
    for source in boards.sources(ROOT / "src/otel").values():
        assert source.store.port == next(iter(of[source.program.name].ports.values())).number
