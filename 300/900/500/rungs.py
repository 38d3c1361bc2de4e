"""What the app says of a PostgreSQL that is away, was away, or lets nobody in."""

import re

from workshop.diagnosis.facts import Diagnosis, Facts, Response
from workshop.diagnosis.settings import AGENT

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


def engine_options(f: Facts) -> Diagnosis | None:
    said = re.search(r"dictionary update sequence element.*|Invalid argument\(s\) '[^']*' sent to create_engine\(\)", f.output)
    lines = f.run_sh.splitlines()
    number = next((n for n, line in enumerate(lines, 1) if "FLASK_SQLALCHEMY_ENGINE_OPTIONS=" in line), 0)
    if not said or not number:
        return None
    return Diagnosis(
        "engine-options",
        f"src/{f.script}:{number}: {lines[number - 1].strip()}\n{said[0]}",
        """'{"hide_parameters": true, "pool_pre_ping": true}'""",
        "Flask reads JSON: a name in double quotes that create_engine() knows, true in small letters; single quotes around all of it "
        "keep the shell from taking the double ones away",
        f"mend it in src/{f.script}:{number}",
        HERE,
    )


def not_a_url(f: Facts) -> Diagnosis | None:
    if "Could not parse SQLAlchemy URL" not in f.output:
        return None
    return Diagnosis(
        "not-a-url",
        f"src/{f.script}: what FLASK_SQLALCHEMY_DATABASE_URI is set to is no URL",
        "the URL that src/database.py prints",
        "SQLAlchemy learns from it which database to ask, by which driver, and where",
        f"`export FLASK_SQLALCHEMY_DATABASE_URI=$URL` in src/{f.script}, below the line that sets URL",
        HERE,
    )


def not_set_up(f: Facts) -> Diagnosis | None:
    served = re.search(r"gunicorn\b.*\s['\"]?(\w+:\w+)", f.run_sh)
    if f.lesson != HERE or f.spans or not served or served[1] == "production:app" or AGENT in f.run_sh:
        return None
    return Diagnosis(
        "not-set-up",
        f"the app answers, and makes no span; gunicorn serves {served[1]}",
        "spans from each worker",
        "src/production.py sets telemetry up in each worker, and then has the app of wsgi.py; wsgi.py alone sets nothing up",
        f"`production:app` in src/{f.script}",
        "300/900/100",
    )


def away_in_the_middle(f: Facts) -> Diagnosis | None:
    return database_away(f) if _failed(f) else None


def _failed(f: Facts) -> Response | None:
    return next((answer for answer in f.responses if answer.wanted and answer.status not in answer.wanted), None)


STARTS = (too_many_connections, database_away)
SPANS = (not_set_up,)
ANSWERS = (engine_options, not_a_url, too_many_connections, stale_connection, away_in_the_middle)
