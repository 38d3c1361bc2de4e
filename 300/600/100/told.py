"""Serves the app of wsgi.py, and logs what a check asks for in the header X-Told: a list of [level, message, extra]."""

import json
import logging

from flask import request

from wsgi import app

log = logging.getLogger("told")


@app.get("/told")
def told():
    for level, message, extra in json.loads(request.headers["X-Told"]):
        log.log(getattr(logging, level), message, extra=extra)
    return "told"
