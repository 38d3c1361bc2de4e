"""What is wrong with a connection string of Azure Application Insights (exporter 1.0.0b58)."""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = "APPLICATIONINSIGHTS_CONNECTION_STRING"
FORM = "InstrumentationKey=…;IngestionEndpoint=https://…"
KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ELSEWHERE = "https://dc.services.visualstudio.com"  # where the exporter sends what has no endpoint


class Fault(NamedTuple):
    """`seen` is the part that is wrong, `expected` what stands there else, and `do` mends it."""

    seen: str
    expected: str
    do: str


def fault(value: str) -> Fault | None:
    """The first thing that is wrong with a connection string; None where it is right.

    Names in it may be written in any case. The key must be a UUID in small letters, and each part have one `=`."""
    parts = value.split(";")
    wrong = next((part for part in parts if part.count("=") != 1), None)
    if wrong == "" and value:
        where = "at its end" if not parts[-1] else "twice in a row"
        return Fault(f"a ; {where}", "one ; between two parts, and none elsewhere", "take that ; away")
    if wrong is not None:
        return Fault(f"{wrong!r}" if wrong else "an empty string", "Name=value for each part", f"write it as {FORM}")
    pairs = {name.lower(): text for name, text in (part.split("=") for part in parts)}
    key, endpoint = pairs.get("instrumentationkey", ""), pairs.get("ingestionendpoint", "")
    if not key:
        return Fault("no InstrumentationKey", "InstrumentationKey=…", "copy the whole string from Azure's overview page")
    if not KEY.fullmatch(key):
        small = " in small letters" if KEY.fullmatch(key.lower()) else ""
        return Fault(
            f"InstrumentationKey={key}",
            f"a UUID{small}: 8, 4, 4, 4 and 12 hexadecimal digits",
            f"write {key.lower()}" if small else "copy the whole string from Azure's overview page",
        )
    if not endpoint and "endpointsuffix" not in pairs:
        blank = next((name for name in pairs if name != name.strip() and name.strip() == "ingestionendpoint"), "")
        return Fault(
            f"no IngestionEndpoint, so it sends to {ELSEWHERE}",
            "IngestionEndpoint=…",
            "take the blank beside the name IngestionEndpoint away"
            if blank
            else "write ;IngestionEndpoint=… behind the key, and put the whole string into quotes: without them a shell ends it at the first ;",
        )
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        return Fault(f"IngestionEndpoint={endpoint}", "an address that begins with https://", "write the address whole")
    return None
