"""Does a backend that wants a key take what the app exports? The exporter's words tell, and what the backend was asked.

What the exporter says holds for OTLP over HTTP, 1.45.1. No rung shows a key, not even a wrong one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from workshop.diagnosis.facts import EXCERPT, Diagnosis, Facts, Stage, line_at

LESSON = "300/800/200"
SCHEMES = ("Basic", "Bearer", "ApiKey")
UNFILLED = re.compile(r"\$\{?[A-Za-z_]\w*\}?")  # a variable that the shell left as it stands
SIGNAL = re.compile(r"/v1/(?:traces|metrics|logs)")


@dataclass
class Backend:
    """A backend that a check has played, and in which something is missing.

    `url` is the endpoint for all signals, `authorization` what it wants to be sent, and `asked` the path and the headers of
    each export that came."""

    url: str
    authorization: str
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return "/" + self.url.split("/", 3)[3] if self.url.count("/") > 2 else ""


def said(f: Facts, words: str) -> str:
    """The exporter's first line with such words; empty when there is none, or when nothing is missing."""
    found = re.search(rf'^(?! *").*(?:{words}).*$', f.output, re.MULTILINE) if f.backend or f.stored == [] else None
    return found[0][:EXCERPT] if found else ""


def header_format(f: Facts) -> Diagnosis | None:
    if not said(f, "Header format invalid!"):
        return None
    told = f.output.split("Header format invalid!")[1].partition("occurrences: ")[2]
    first = told.split("\n")[0]
    name, equals, value = first.partition("=")
    cause = (
        "a colon, as curl has it, where a variable wants an equals sign"
        if ":" in name or not equals
        else "a quote, which the shell did not take away, so that it belongs to the value"
        if {'"', "'"} & set(first)
        else "a semicolon or a backslash, which must be percent-encoded"
        if {";", "\\"} & set(value)
        else "a line break; `base64` puts one behind 76 characters"
    )
    return Diagnosis(
        "header-format",
        f"the exporter said: Header format invalid!\nbehind {name.split(':')[0].strip(chr(34))} stands {cause}",
        "OTEL_EXPORTER_OTLP_HEADERS as name=value, with %20 for a blank",
        "a header that it cannot read it leaves out, so the backend sees no key; and it prints all of it: that key is told",
        f"write Authorization=Basic%20… in src/{f.script}, and take a new key",
        LESSON,
    )


def proxied(f: Facts) -> Diagnosis | None:
    line = said(f, "ProxyError|Unable to connect to proxy|Cannot connect to proxy|code: 407")
    if not line:
        return None
    named = re.search(r"^.*\b(https?_proxy|all_proxy)=(\S+)", f.run_sh, re.IGNORECASE | re.MULTILINE)
    where = f"src/{f.script}:{line_at(f.run_sh, named.start())}: {named[1]}={named[2]}\n" if named else ""
    return Diagnosis(
        "proxy-between",
        f"{where}{line}",
        "an export that goes to the backend itself, or a proxy that answers",
        "an exporter heeds HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, as all that uses the same HTTP library",
        "take the variable out, or name the backend's host in NO_PROXY",
        LESSON,
    )


def tls_to_plain(f: Facts) -> Diagnosis | None:
    line = said(f, "WRONG_VERSION_NUMBER|wrong version number|record layer failure")
    if not line:
        return None
    return Diagnosis(
        "tls-to-plain",
        line,
        "http:// for a backend that speaks without TLS",
        "https:// asks for TLS, and what listens there answered without",
        f"write http:// in the endpoint, in src/{f.script}, or take the port at which it speaks TLS",
        LESSON,
    )


def certificate_unknown(f: Facts) -> Diagnosis | None:
    line = said(f, "CERTIFICATE_VERIFY_FAILED")
    if not line:
        return None
    return Diagnosis(
        "certificate-unknown",
        line,
        "a certificate that an authority has signed which this machine knows",
        "the backend speaks TLS, and its certificate is signed by somebody unknown: itself, or a company's own authority",
        "`export OTEL_EXPORTER_OTLP_CERTIFICATE=` with the file of that authority's certificate",
        LESSON,
    )


def not_sent_there(f: Facts) -> Diagnosis | None:
    line = said(f, "Connection refused|NewConnectionError|NameResolutionError")
    if not line or not f.backend or f.backend.asked:
        return None
    return Diagnosis(
        "not-sent-there",
        line,
        f.backend.url,
        "the app sends elsewhere, and nobody takes it there. What src/run.sh exports wins over what was exported before it; a flag of "
        "the agent wins over both",
        f"give the endpoint as the flag --exporter_otlp_endpoint {f.backend.url}, in src/{f.script}",
        LESSON,
    )


def plain_to_tls(f: Facts) -> Diagnosis | None:
    line = said(f, r"BadStatusLine|Connection aborted|RemoteDisconnected|HTTP request to an HTTPS server")
    if not line:
        return None
    return Diagnosis(
        "plain-to-tls",
        line,
        "https:// for a backend that speaks TLS",
        "somebody listens there, and hangs up on plain HTTP: so do many that want TLS",
        f"write https:// in the endpoint, in src/{f.script}",
        LESSON,
    )


def path_doubled(f: Facts) -> Diagnosis | None:
    path = next((path for path, _ in f.backend.asked if len(SIGNAL.findall(path)) > 1), "") if f.backend else ""
    if not path:
        return None
    return Diagnosis(
        "path-doubled",
        f"the backend was asked for {path}",
        f"{f.backend.path}/v1/traces",
        "to the endpoint for all signals the exporter appends /v1/traces, /v1/metrics or /v1/logs by itself",
        f"end the endpoint before /v1, in src/{f.script}: {f.backend.url}",
        LESSON,
    )


def path_wrong(f: Facts) -> Diagnosis | None:
    wrong = [path for path, _ in f.backend.asked if not _is_right(f, path)] if f.backend else []
    if not wrong:
        return None
    return Diagnosis(
        "path-wrong",
        f"the backend was asked for {wrong[0]}",
        f"{f.backend.path}/v1/traces",
        "a provider takes OTLP below a path of its own; elsewhere it answers 404, or with a page for people",
        f"write the whole endpoint in src/{f.script}: {f.backend.url}",
        LESSON,
    )


def key_missing(f: Facts) -> Diagnosis | None:
    bare = [headers for _, headers in f.backend.asked if not headers.get("Authorization")] if f.backend else []
    if not bare:
        return None
    alike = [name for name in bare[0] if "auth" in name.lower()]
    return Diagnosis(
        "key-missing",
        "an export came without the header Authorization" + (f"; it has one called {alike[0]}" if alike else ""),
        f"Authorization: {f.backend.authorization.split()[0]} …",
        "a quote inside the value belongs to the header's name"
        if alike
        else "OTEL_EXPORTER_OTLP_HEADERS did not reach the app",
        f"`export OTEL_EXPORTER_OTLP_HEADERS=…` in src/{f.script}, before the line that starts the app",
        LESSON,
    )


def key_in_script(f: Facts) -> Diagnosis | None:
    for value in _wrong_keys(f):
        parts = (value.partition(" ")[2], *_decoded(value).split(":"))
        secrets = {part for part in parts if len(part) > 5 and not UNFILLED.fullmatch(part)}
        for path, text in f.files.items():
            if any(secret in text for secret in secrets):
                return Diagnosis(
                    "key-in-script",
                    f"the key that came stands in src/{path}",
                    "the key of instance/cloud.env, read when the script runs",
                    "what stands in src/ is committed, and a key in a repository is everybody's, also after it is deleted there",
                    f"take it out of src/{path}; had you pushed it, only a new key would help",
                    LESSON,
                )
    return None


def key_refused(f: Facts) -> Diagnosis | None:
    wrong = next(iter(_wrong_keys(f)), "")
    line = said(f, "code: 401|UNAUTHENTICATED")
    if not (wrong or line):
        return None
    return Diagnosis(
        "key-refused",
        f"Authorization: {_shown(wrong)}, which is not the key\n{line}".strip() if wrong else line,
        "the key as the provider handed it out",
        _cause(f, wrong) if wrong else "401: the backend does not know this key; it is wrong, or has expired",
        f"mend how src/{f.script} makes the header" if wrong else "take a new key, and mind how the header is written",
        LESSON,
    )


def key_forbidden(f: Facts) -> Diagnosis | None:
    line = said(f, "code: 403|PERMISSION_DENIED")
    if not line:
        return None
    return Diagnosis(
        "key-forbidden",
        line,
        "a key that may write traces, metrics and logs",
        "403: the key is known, and may not do this: it may only read, or belongs to another instance; or a proxy says so",
        "give the key the right to write, or take the endpoint of the instance that it belongs to",
        LESSON,
    )


def rate_limited(f: Facts) -> Diagnosis | None:
    line = said(f, "code: 429|(?i:too many requests)|RESOURCE_EXHAUSTED")
    if not line:
        return None
    return Diagnosis(
        "rate-limited",
        line,
        "less than the backend's plan allows",
        "429: it came too fast. The exporter waits as Retry-After says, and drops the batch where that is beyond its time-out",
        "sample, or export metrics less often: OTEL_METRIC_EXPORT_INTERVAL; or ask for a higher limit",
        LESSON,
    )


def body_too_large(f: Facts) -> Diagnosis | None:
    line = said(f, "code: 413|(?i:request entity too large|content too large|payload too large)")
    if not line:
        return None
    return Diagnosis(
        "body-too-large",
        line,
        "batches below the backend's limit",
        "413: the whole batch is dropped, and the next one will be as large",
        "a smaller OTEL_BSP_MAX_EXPORT_BATCH_SIZE, or OTEL_BLRP_… for logs; gzip where the limit counts what is sent",
        LESSON,
    )


def backend_silent(f: Facts) -> Diagnosis | None:
    line = said(f, "due to timeout, max retries or shutdown")
    if not line:
        return None
    return Diagnosis(
        "backend-silent",
        line,
        "an answer within OTEL_EXPORTER_OTLP_TIMEOUT, which is 10 seconds",
        "the backend hangs or is not there, or it answered 429 or 503 and asked for a longer pause than that: the line is the same",
        "send one export with curl and look at the answer, as the lesson shows",
        LESSON,
    )


def _is_right(f: Facts, path: str) -> bool:
    return path.startswith(f"{f.backend.path}/v1/") and bool(SIGNAL.fullmatch(path[len(f.backend.path) :]))


def _wrong_keys(f: Facts) -> list[str]:
    sent = [headers.get("Authorization", "") for _, headers in f.backend.asked] if f.backend else []
    return [value for value in sent if value and value != f.backend.authorization]


def _shown(value: str) -> str:
    scheme, _, rest = value.rpartition(" ")
    return f"{scheme if scheme in SCHEMES else 'no scheme'} and {len(rest)} characters"


def _decoded(value: str) -> str:
    """What a header of Basic authentication holds; empty where it is none."""
    try:
        return base64.b64decode(value.partition(" ")[2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _cause(f: Facts, value: str) -> str:
    scheme, _, rest = value.partition(" ")
    right, _, key = f.backend.authorization.partition(" ")
    if scheme != right:
        return f"it begins with {scheme if scheme in SCHEMES else 'the key itself'}, and this backend wants {right}"
    if "%" in rest:
        return (
            "it is still percent-encoded: beside a real blank the exporter decodes nothing. Encode the blank, too, or nothing"
        )
    if rest.strip("\"'") == key:
        return "it has quotes around it, which the shell did not take away"
    if UNFILLED.fullmatch(rest):
        return f"the shell did not put {rest} in: it does so between double quotes, not between single ones"
    if scheme != "Basic":
        return "it is another key than the one that the check has put into the file"
    inside = _decoded(value)
    if inside == ":":
        return "instance and token are both empty: the shell that makes the header has not read the file with the key (`. instance/cloud.env`)"
    if inside.endswith("\n"):
        return "a line break was encoded with it: `echo` writes one, `printf %s` does not"
    if inside and ":" not in inside:
        return "it holds one word, and Basic wants two with a colon between: instance:token"
    return "it holds another instance or token than the file with the key"


WORDS = (header_format, proxied, tls_to_plain, certificate_unknown)
ANSWERS = (key_refused, key_forbidden, rate_limited, body_too_large)
BACKEND = Stage(
    "BACKEND",
    *WORDS,
    path_doubled,
    path_wrong,
    key_missing,
    key_in_script,
    *ANSWERS,
    not_sent_there,
    plain_to_tls,
    backend_silent,
)
