"""The floor of one console check: the same app started, asked once, stopped, parsed, with nothing of a check around it.

`workshop/dev/bench.py` runs it by pytest."""

import json
import os
import re
import signal
import subprocess
import urllib.request

from workshop.course import lessons
from workshop.course.replay import replay
from workshop.setup.ports import free_port


def test_floor(tmp_path):
    port = free_port()
    for name, data in replay(lessons.find("300/300/100")).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data.replace(b"5001", str(port).encode()))
    env = {**os.environ, "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/floor.db"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    app = subprocess.Popen(["sh", "run.sh"], cwd=tmp_path, env=env, start_new_session=True, text=True, **pipes)
    said = ""
    while "Running on" not in said:
        line = app.stdout.readline()
        assert line, said
        said += line
    urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
    os.killpg(app.pid, signal.SIGINT)
    said += app.stdout.read()
    app.wait()
    assert "SpanKind.SERVER" in said
    assert [json.JSONDecoder().raw_decode(said, match.start()) for match in re.finditer(r"^{", said, re.MULTILINE)]
