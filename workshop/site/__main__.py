"""Draws the site: `python3 -m workshop.site serve` for a reader on this machine, `build` to publish it from `site/`.

Needs the `.venv` of `make install-site`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from workshop.setup.commands import inherited_environment
from workshop.setup.ports import is_listening

ROOT = Path(__file__).resolve().parent.parent.parent
# Material for MkDocs prints a notice about its end of life at each start; these are its own switches for it.
QUIET = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}


def main(arguments: list[str]) -> int:
    """Do what the arguments say. The exit status is 0 when it was done."""
    parser = argparse.ArgumentParser(prog="python3 -m workshop.site", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("serve", "build"))
    parser.add_argument("--port", type=int, default=8000, help="where to serve (default: %(default)s)")
    asked = parser.parse_args(arguments)
    if not (ROOT / ".venv" / "bin" / "mkdocs").exists():
        print("What draws the site is not in .venv yet. Run: make install-site", file=sys.stderr)
        return 1
    if asked.command == "serve" and is_listening(asked.port):
        print(f"Port {asked.port} is taken. Take another one: make serve PORT={asked.port + 1}", file=sys.stderr)
        return 1
    mkdocs = [str(ROOT / ".venv" / "bin" / "python"), "-m", "mkdocs", asked.command, "-f", str(ROOT / "mkdocs.yml")]
    # No --quiet: it would silence the very warnings that --strict counts.
    mkdocs += ["--dev-addr", f"127.0.0.1:{asked.port}"] if asked.command == "serve" else ["--strict"]
    os.execve(mkdocs[0], mkdocs, {**inherited_environment(), **QUIET})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
