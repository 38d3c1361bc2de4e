"""What the app says of a PostgreSQL that is away, was away, or lets nobody in."""

import re

from workshop.diagnosis.facts import Diagnosis, Facts, Response

HERE = "300/900/500"
FULL = re.compile(r"FATAL: +((?:too many connections|sorry, too many clients|remaining connection slots)[^\n\\]*)")
AWAY = re.compile(r"OperationalError\W+connection (?:failed|is bad): ([^\n\\]*(?:\\\"[^\n\\]*)*)")
STALE = re.compile("server closed the connection|terminating connection|connection is (?:lost|closed)")


def too_many_connections(f: Facts) -> Diagnosis | None:
    said = FULL.search(f.output)
    if not said:
        return None
    return Diagnosis(
        "too-many-connections",
        said[1],
        "a connection for each worker that needs one",
        "each worker has a pool of its own, up to 15 connections at SQLAlchemy's defaults; all workers of all machines add up",
        "fewer workers or a smaller `pool_size`, or a higher limit: CONNECTIONS in src/database.py, `max_connections` of a server",
        HERE,
    )


def database_away(f: Facts) -> Diagnosis | None:
    said = AWAY.search(f.output)
    if not said:
        return None
    return Diagnosis(
        "database-away",
        said[1].replace("\\", ""),
        "a PostgreSQL that answers at the app's URL",
        "the app makes its tables when it starts, and asks for tasks in every request",
        "start it and look at the URL: in src/, `python database.py` prints the one that is right here",
        HERE,
    )


def stale_connection(f: Facts) -> Diagnosis | None:
    failed = _failed(f)
    if not failed or not STALE.search(f.output):
        return None
    return Diagnosis(
        "stale-connection",
        f"{failed}: status {failed.status}, though PostgreSQL is there again",
        "status 200",
        "the worker's connection is from before PostgreSQL was killed, and nobody has looked whether it still holds",
        "`pool_pre_ping` in FLASK_SQLALCHEMY_ENGINE_OPTIONS, in src/scale.sh; this is your own step of the lesson",
        HERE,
    )


def away_in_the_middle(f: Facts) -> Diagnosis | None:
    return database_away(f) if _failed(f) else None


def _failed(f: Facts) -> Response | None:
    return next((answer for answer in f.responses if answer.wanted and answer.status not in answer.wanted), None)


STARTS = (too_many_connections, database_away)
ANSWERS = (too_many_connections, stale_connection, away_in_the_middle)
