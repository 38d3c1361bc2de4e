"""Serves the app of wsgi.py, by way of failing.py, which fails as a check asks: what is caught is logged, the last kind is not caught."""

import logging

from failing import app
from sqlalchemy.exc import NoResultFound

log = logging.getLogger("raising")


class Shop:
    class Closed(Exception):
        """An exception without arguments, which says something all the same."""

        def __str__(self):
            return "come back on Monday"


@app.get("/raise/<kind>")
def fail(kind):
    try:
        if kind == "file":
            open("/nowhere/canary@example.com")
        raise {"own": Shop.Closed(), "database": NoResultFound("no row"), "uncaught": LookupError("no health")}[kind]
    except LookupError:
        raise
    except Exception:
        log.exception("caught: %s", kind)
    return "caught"
