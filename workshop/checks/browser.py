"""A visitor of the app under check."""

from __future__ import annotations

import secrets
from html.parser import HTMLParser

from workshop.checks.process import patient
from workshop.diagnosis.facts import Response

RESPONSE_SECONDS = 10


class Browser:
    """A visitor with cookies. Follows no redirect, so that each request is one request, and asks no proxy."""

    def __init__(self, url: str):
        import requests as http  # 50 ms that pass while the app starts

        self._http, self.url = http, url
        self.responses: list[Response] = []
        self._session = http.Session()
        self._session.trust_env = False

    def ask(
        self,
        method: str,
        path: str,
        wanted: int | tuple[int, ...] = (),
        traceparent: bool = False,
        traced: bool = True,
        headers: dict | None = None,
        seconds: float = 0,
        **how,
    ) -> Response:
        """Send one request with a User-Agent of its own, and with `traceparent` a trace of its own to continue.

        `wanted` is the status, or statuses, that the app must answer with, and `seconds` how long that may take, RESPONSE_SECONDS for 0;
        `how` goes to `requests`."""
        wanted = (wanted,) if isinstance(wanted, int) else wanted
        response = Response(method, path, f"workshop-check/{secrets.token_hex(8)}", wanted, traced)
        sent = {"User-Agent": response.agent, **(headers or {})}
        if traceparent:
            response.trace_id, response.parent_id = secrets.token_hex(16), secrets.token_hex(8)
            sent["traceparent"] = f"00-{response.trace_id}-{response.parent_id}-01"
        self.responses.append(response)
        try:
            got = self._session.request(
                method,
                self.url + path,
                headers=sent,
                allow_redirects=False,
                timeout=patient(seconds or RESPONSE_SECONDS),
                **how,
            )
        except self._http.RequestException as error:
            response.problem = str(error)
            return response
        response.status, response.headers, response.text = got.status_code, got.headers, got.text
        return response

    @property
    def cookies(self):
        """The visitor's cookies, to be given to another visitor."""
        return self._session.cookies

    @cookies.setter
    def cookies(self, cookies) -> None:
        self._session.cookies = cookies

    def get(self, path: str = "/", wanted: int | tuple[int, ...] = 200, **how) -> Response:
        """Open a page."""
        return self.ask("GET", path, wanted, **how)

    def post(self, path: str, form: dict | None = None, wanted: int | tuple[int, ...] = (302, 303), **how) -> Response:
        """Send a form as it is. Use `submit` to send it as a browser does, with the page's hidden fields."""
        return self.ask("POST", path, wanted, data=form, **how)

    def submit(self, path: str, form: dict | None = None, page: str = "/", **how) -> Response:
        """Open a page, fill in its form that goes to `path`, and send it with the hidden fields that it carries."""
        return self.post(path, {**self.form(path, page), **(form or {})}, **how)

    def form(self, path: str, page: str = "/") -> dict[str, str]:
        """The hidden fields of the form on `page` that goes to `path`, such as its CSRF token."""
        return hidden_fields(self.get(page).text, path)


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of a page's form that is sent to `action`."""
    found: dict[str, str] = {}

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attributes: list) -> None:
            values = dict(attributes)
            if tag == "form":
                self.inside = values.get("action") == action
            elif tag == "input" and self.inside and values.get("type") == "hidden":
                found[values.get("name", "")] = values.get("value", "")

    Reader().feed(page)
    return found
