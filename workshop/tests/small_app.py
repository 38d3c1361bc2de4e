"""A small instrumented app in a process of its own, for tests that need real telemetry of a known shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workshop.checks.app import LISTEN_SECONDS, STOP_SECONDS
from workshop.checks.browser import Browser
from workshop.checks.process import Process, environment
from workshop.setup.ports import free_port, is_listening
from workshop.telemetry.console import Console, read_console

SOURCE = """
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

db = SQLAlchemy()
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///small.db"
db.init_app(app)
with app.app_context():
    db.session.execute(text("CREATE TABLE IF NOT EXISTS task (text VARCHAR)"))
    db.session.commit()


@app.get("/")
def index():
    return str(db.session.execute(text("SELECT text FROM task")).all())


@app.post("/add")
def add():
    db.session.execute(text("INSERT INTO task (text) VALUES (:text)"), request.form)
    db.session.execute(text("SELECT count(*) FROM task"))
    db.session.commit()
    if "fail" in request.args:
        raise RuntimeError(f"cannot keep {request.form['text']}")
    app.logger.warning("one task more")
    return "added"


@app.get("/static-page")
def static_page():
    return "no database"
"""


def run(folder: Path, ask: Callable[[Browser], None], **env: str) -> Console:
    """Serve the app under the agent, all signals to the console; let `ask` use it, stop it, return what it printed."""
    (folder / "small.py").write_text(SOURCE, encoding="utf-8")
    port = free_port()
    exporters = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")}
    line = f"opentelemetry-instrument flask --app small run -p {port}"
    process = Process(line, folder, {**environment(), **exporters, "OTEL_SERVICE_NAME": "todo", **env}, separate_stderr=True)
    try:
        assert process.wait_until(lambda: is_listening(port), LISTEN_SECONDS), process.output
        ask(Browser(f"http://127.0.0.1:{port}"))
        process.interrupt()
        assert process.wait(STOP_SECONDS), process.output
    finally:
        process.kill()
    return read_console(process.stdout)
