"""Serves the app of wsgi.py, whose database commits nothing of a request that has the header X-Failing.

At /collect its metrics leave at once, as they do each minute."""

import sqlite3

from flask import has_request_context, request
from opentelemetry import metrics
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from wsgi import app


@app.get("/collect")
def collect():
    metrics.get_meter_provider().force_flush()
    return "collected"


@event.listens_for(Engine, "commit")
def fail(connection):
    if has_request_context() and "X-Failing" in request.headers:
        connection.connection.rollback()
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("database or disk is full"))
