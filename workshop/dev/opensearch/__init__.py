"""OpenSearch without Docker, for measuring and for `make test-opensearch`: jars that Maven brings, run by this machine's Java.

No program of `workshop up`: a learner has it from the compose file of lesson 300/900/500, in the very version of `pom.xml`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workshop.programs.instance import Instance, ProgramError
from workshop.programs.lifecycle import start
from workshop.programs.program import Port, Program
from workshop.setup.cache import cache_folder, locked
from workshop.setup.commands import CommandFailed, run
from workshop.setup.downloads import Unavailable

POM, NODE = Path(__file__).with_name("pom.xml"), Path(__file__).with_name("Node.java")
OPENSEARCH = Program(
    name="opensearch",
    title="OpenSearch",
    version=re.search(r"<opensearch>(.+)</opensearch>", POM.read_text(encoding="utf-8"))[1],
    ports={"http": Port(9200, "its API"), "transport": Port(9300, "other nodes")},
    health=("http", "/_cluster/health"),
    ask_version=(),
    arguments=("-Xms512m", "-Xmx512m", "{configuration}", "{data}", "{http}", "{transport}"),
)


def jars() -> Path:
    """The folder with all jars of `pom.xml`, in the user's cache.

    Raises Unavailable where Java or Maven is missing, and ProgramError when Maven fails: offline it says of every jar just what it
    says of a version that there is not."""
    for tool in ("java", "javac", "mvn"):
        if not shutil.which(tool):
            raise Unavailable(f"{tool} is not installed")
    folder = cache_folder() / f"opensearch-{OPENSEARCH.version}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            partial, log = (folder.with_name(f"{folder.name}.{end}") for end in ("partial", "log"))
            shutil.rmtree(partial, ignore_errors=True)
            try:
                goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
                run(["mvn", "-B", "-q", "-C", "-f", POM, "-l", log, *goal])
            except CommandFailed as error:
                raise ProgramError(f"Maven: {next(iter(log.read_text().splitlines()), error)}") from None
            os.replace(partial, folder)
    return folder


@contextmanager
def opensearch() -> Iterator[Instance]:
    """One node on free ports. Raises as `jars` does, and ProgramError when it does not start."""
    settings = {"CLASSPATH": f"{jars()}/*"}
    with tempfile.TemporaryDirectory(prefix="workshop-opensearch-") as folder:
        with start(OPENSEARCH, Path(shutil.which("java")), Path(folder), configuration=NODE, settings=settings) as node:
            yield node
