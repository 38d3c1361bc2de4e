"""Serves the app of wsgi.py, whose database commits nothing of a request that has the header X-Failing."""

import sqlite3

from flask import has_request_context, request
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from wsgi import app  # noqa: F401


@event.listens_for(Engine, "commit")
def fail(connection):
    if has_request_context() and "X-Failing" in request.headers:
        connection.connection.rollback()
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("database or disk is full"))
