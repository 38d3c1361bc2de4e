"""Grafana's files, read without Grafana: boards and data sources, and what each panel gets when the stores themselves are asked.

A board is JSON with `panels`, each with `targets`: the questions to one data source. A data source is provisioned by YAML, in which
`$NAME` and `${NAME}` stand for environment variables, and `$$` for a dollar sign.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from workshop.errors import UserError
from workshop.programs.instance import Instance, ProgramError
from workshop.programs.program import Program, find

SOURCES = "grafana/datasources"
BOARDS = "dashboards"
# The type of a data source, by the program that it asks. VictoriaLogs comes to Grafana by a plugin of its makers.
TYPES = {"prometheus": "prometheus", "jaeger": "jaeger", "victoriametrics-logs-datasource": "logs"}
SERVICE_MAP = "dependencyGraph"
VARIABLE = re.compile(r"\$\$|\$(?:\{(?P<braced>\w[\w.]*)\}|(?P<bare>[A-Za-z_]\w*))")
# A visualization may leave a query's last word to Grafana: how wide a window has to be for the time between two points of a graph.
WINDOWS = re.compile(r"\$\{?__(?:rate_interval|interval|range)\}?")


class BoardError(UserError):
    """A file of Grafana's is not what Grafana can read. `where` names the file, and the line or the panel."""

    def __init__(self, where: str, problem: str):
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem


@dataclass(frozen=True)
class Question:
    """One target of a panel. `text` is empty for Jaeger's service map. `exemplars`: whether the panel asks for them, too."""

    text: str
    kind: str = ""
    exemplars: bool = False

    def over(self, window: str) -> str:
        """The query with this window, such as "5m", where Grafana would put one of its own."""
        return WINDOWS.sub(window, self.text)


@dataclass(frozen=True)
class Panel:
    """A panel of a board: what it asks of the data source with the id `source`, and shows. `where` names its file and its title."""

    title: str
    where: str
    source: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Source:
    """A data source, as its file has it. `more` is its `jsonData`, such as the ways from it to others."""

    id: str
    type: str
    url: str
    where: str
    more: dict = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """The program that it asks. Raises BoardError."""
        if self.type not in TYPES:
            raise BoardError(self.where, f"type {self.type!r}; the stores of this workshop are of the types {', '.join(TYPES)}")
        return find(TYPES[self.type])

    @property
    def store(self) -> Instance:
        """Its program, asked at the address that the file gives. Raises BoardError."""
        try:
            port = urlsplit(self.url).port
        except ValueError:  # letters, or a number that no port has
            port = None
        if not self.url.startswith(("http://", "https://")) or port is None:
            raise BoardError(self.where, f"the url {self.url!r}; an address such as http://localhost:9090 is wanted")
        program = self.program
        return program.instance(program, self.url, {**program.numbers, program.health[0]: port}, Path())


def sources(folder: Path) -> dict[str, Source]:
    """The data sources below `src/otel`, by id. Raises BoardError with the file and the line."""
    found: dict[str, Source] = {}
    for file in sorted((folder / SOURCES).glob("*.y*ml")):
        name = _named(file, folder)
        try:
            read = yaml.safe_load(_text(file, name))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BoardError(f"{name}:{line}", f"no YAML: {error.problem}") from None
        except yaml.reader.ReaderError as error:
            raise BoardError(name, f"no YAML: the character {chr(error.character)!r} may not stand there") from None
        listed = read.get("datasources") if isinstance(read, dict) else None
        if not isinstance(listed, list):
            raise BoardError(name, "no list `datasources`")
        for one in listed:
            source = _source(_expanded(one), name)
            if source.id in found:
                raise BoardError(name, f"the uid {source.id} stands there twice")
            found[source.id] = source
    return found


def panels(folder: Path) -> list[Panel]:
    """The panels of all boards below `src/otel`, in their order. Raises BoardError with the file, and the line or the panel."""
    found, ids = [], {}
    for file in sorted((folder / BOARDS).rglob("*.json")):
        name = _named(file, folder)
        try:
            board = json.loads(_text(file, name))
        except json.JSONDecodeError as error:
            raise BoardError(f"{name}:{error.lineno}", f"no JSON: {error.msg}, at column {error.colno}") from None
        listed = board.get("panels") if isinstance(board, dict) else None
        if not isinstance(listed, list):
            raise BoardError(name, "no list `panels`")
        for key in ("uid", "title", "schemaVersion"):
            if not board.get(key):
                raise BoardError(
                    name, f"no {key}; Grafana knows a board by its uid, shows it under its title, and reads it by its version"
                )
        if board["uid"] in ids:
            raise BoardError(name, f"the uid {board['uid']} is that of {ids[board['uid']]}, too; Grafana then takes neither")
        ids[board["uid"]] = name
        for number, one in enumerate(listed, 1):
            found += _asking(one, f"{name}, panel {number}")
    return found


def _text(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BoardError(f"{name}:{line}", "no UTF-8; save the file as UTF-8") from None


def _named(file: Path, folder: Path) -> str:
    return f"src/otel/{file.relative_to(folder).as_posix()}"


def _source(read: object, name: str) -> Source:
    if not isinstance(read, dict) or not all(isinstance(read.get(key), str) for key in ("name", "type", "uid", "url")):
        raise BoardError(name, f"a data source needs name, type, uid and url: {read}")
    more = read.get("jsonData") or {}
    if not isinstance(more, dict):
        raise BoardError(f"{name}, {read['uid']}", "jsonData is no map")
    ways = more.get("exemplarTraceIdDestinations") or []
    if not isinstance(ways, list) or not all(isinstance(way, dict) for way in ways):
        raise BoardError(f"{name}, {read['uid']}", "exemplarTraceIdDestinations is no list of maps")
    if not isinstance(more.get("tracesToLogsV2") or {}, dict):
        raise BoardError(f"{name}, {read['uid']}", "tracesToLogsV2 is no map")
    return Source(read["uid"], read["type"], read["url"], f"{name}, {read['uid']}", more)


def _asking(read: object, where: str) -> list[Panel]:
    """The panel, or none for one that shows a text; for a row, what is folded into it. Raises BoardError."""
    kind = read.get("type") if isinstance(read, dict) else None
    if kind == "row":
        return [_panel(one, f"{where}.{number}") for number, one in enumerate(read.get("panels") or [], 1)]
    return [] if kind == "text" else [_panel(read, where)]


def _panel(read: object, where: str) -> Panel:
    if not isinstance(read, dict) or not read.get("title") or not read.get("type"):
        raise BoardError(where, "a panel needs a title and a type")
    where = f"{where} ({read['title']})"
    source = read.get("datasource")
    if not isinstance(source, dict) or not isinstance(source.get("uid"), str):
        raise BoardError(where, 'a panel names its data source by its uid: "datasource": {"uid": …}')
    targets = read.get("targets")
    if not isinstance(targets, list) or not targets:
        raise BoardError(where, "a panel without targets asks nothing")
    questions = tuple(filter(None, (_question(target, where) for target in targets)))
    if not questions:
        raise BoardError(where, "each of its targets is hidden, and so it shows nothing")
    names = [target["refId"] for target in targets if "refId" in target]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BoardError(where, f"two targets have the refId {twice}; Grafana keeps the answer of one")
    return Panel(str(read["title"]), where, source["uid"], questions)


def _question(target: object, where: str) -> Question | None:
    """What a target asks; nothing where its answer is hidden."""
    if not isinstance(target, dict):
        raise BoardError(where, f"a target is a map: {target}")
    if target.get("hide"):
        return None
    text, kind = target.get("expr", ""), target.get("queryType", "")
    if not text and kind != SERVICE_MAP:
        raise BoardError(where, "a target without expr asks nothing")
    return Question(str(text), str(kind), target.get("exemplar") is True)


def _expanded(read: object):
    """What the file says once Grafana has put in the variables of its environment."""
    if isinstance(read, dict):
        return {key: _expanded(value) for key, value in read.items()}
    if isinstance(read, list):
        return [_expanded(value) for value in read]
    known = lambda match: "$" if match[0] == "$$" else os.environ.get(match["braced"] or match["bare"], "")  # noqa: E731
    return VARIABLE.sub(known, read) if isinstance(read, str) else read


def answers(panel: Panel, source: Source, window: str = "5m") -> Iterator[list]:
    """What each target of the panel gets: series, log rows, or pairs of services. Raises BoardError or ProgramError."""
    store = source.store
    for question in panel.questions:
        if question.kind == SERVICE_MAP:
            yield store.dependencies()
        elif source.program.name == "jaeger":
            raise BoardError(panel.where, f"of Jaeger only the service map is asked, by queryType {SERVICE_MAP}")
        else:
            yield store.query(question.over(window))


def told(found: list) -> str:
    """A panel's answers in a few words: how many, and what the first of them says."""
    if not found:
        return "nothing"
    first = found[0]
    if hasattr(first, "value"):
        said = f"{first.value:g}"
    elif "callCount" in first:
        pairs = (f"{call['parent']} → {call['child']}" for call in found if call["parent"] != call["child"])
        return f"{min(pairs, key=len, default='nobody')}, of {len(found)}"
    else:
        said = ", ".join(first.values())
    return said if len(found) == 1 else f"{said} and {len(found) - 1} more"


def rows(folder: Path) -> Iterator[tuple[Panel, str, bool]]:
    """For each panel: what it gets just now, and whether that is at least one answer to each of its targets. Raises BoardError."""
    known = sources(folder)
    for panel in panels(folder):
        if panel.source not in known:
            yield panel, f"no data source has the uid {panel.source}", False
            continue
        try:
            found = list(answers(panel, known[panel.source]))
        except ProgramError as error:
            yield panel, str(error), False
        else:
            yield panel, "; ".join(map(told, found)), all(found)
