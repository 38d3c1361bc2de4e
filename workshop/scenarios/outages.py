"""What can happen in an incident, and what is right to say of it."""

from __future__ import annotations

from dataclasses import dataclass

PLACES = {
    "a": "A statement to the database.",
    "b": "The advisor's own work: its span is as long as the app waits for it, or longer.",
    "c": "What the advisor refuses, and what the app does about it.",
    "d": "The app's own code: no span below the request's has the time or the error.",
    "e": "One process: the same requests are well in others.",
    "f": "Neither time nor errors: spans are of the wrong kind, below the wrong parent.",
}
CHANGES = {
    "a": "Let the statement read only what the page shows, with an index for it.",
    "b": "Fewer tries, with one limit of time for all of them, and none while the other side is slow.",
    "c": "Do not keep what is no answer, and let each kept answer end.",
    "d": "Ask less often than the limit, keep answers for a minute, and do not wait when refused.",
    "e": "Write large files in parts, each with few parameters.",
    "f": "Bound what a process keeps between requests.",
    "g": "Close what is opened, and take a process out when it cannot answer.",
    "h": "Detach what is attached: each request begins with a context of its own.",
    "i": "More workers.",
    "j": "A longer time-out.",
}


@dataclass(frozen=True)
class Outage:
    """A hidden fault: whom it hits (a route, a kind of user, `one` process or `all`), and the right place and change."""

    name: str
    cause: str
    whom: tuple[str, ...]
    where: str
    change: str


OUTAGES = (
    Outage("slow-list", "The statement behind the list of what a search finds reads all tasks, slowly.", ("POST /search", "searcher"), "a", "a"),
    Outage("worker", "One of three workers has run out of file descriptors, and cannot open the database.", ("one",), "e", "g"),
    Outage("advisor", "The advisor is slow at /advice, and the app asks it three times, one second each.", ("GET /",), "b", "b"),
    Outage("import", "Large files are written by one statement with more parameters than the database takes.", ("POST /import", "importer"), "a", "e"),
    Outage("cache", "An answer that is no JSON was kept, and each list that meets it fails.", ("GET /",), "d", "c"),
    Outage("propagation", "A deployment attaches the context of a worker's first request for good.", ("all",), "f", "h"),
    Outage("leak", "Each import is kept in memory, and the next one walks through all of them.", ("POST /import", "importer"), "d", "f"),
    Outage("limit", "The advisor takes only so many requests, refuses the others, and the app waits to ask again.", ("GET /",), "c", "d"),
)  # fmt: skip
