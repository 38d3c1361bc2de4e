"""Makes the workshop ready: `.venv` with the pinned packages and this workshop, and the programs of all lessons (Jaeger).

`python3 -m workshop.setup.install` needs nothing but Python 3.10, may be run again at any time, and repairs what an
interrupted run left. `--only python` and `--only programs` do one half; `--only tests`, `site` and `browser` do the first
half and add what the workshop's own tests, the site, and its tests in a browser need. Several may be named.
"""

import sys

if sys.platform == "win32":
    sys.exit("The workshop runs on Linux and macOS. On Windows use WSL or a dev container; README.md says how.")
if sys.version_info < (3, 10):  # so this file alone keeps to syntax that an old Python can read
    from shutil import which
    from subprocess import call

    known = ["python3." + str(minor) for minor in range(14, 9, -1)]
    newer = [name for name in known if which(name) and call([name, "-c", ""]) == 0]
    cure = "Run: make demo PYTHON=%s" % newer[0] if newer else "Install a newer one: python.org, your system, or uv."
    sys.exit("The workshop needs Python 3.10 or newer; %s is %d.%d.\n%s" % (sys.executable, *sys.version_info[:2], cure))

import argparse
import signal
import subprocess
import threading
import time
from pathlib import Path

from workshop.setup.cache import locked
from workshop.setup.commands import defer_signals, end_by_signals, inherited_environment, kill_group
from workshop.setup.environments import EnvironmentFailed, make_environment

ROOT = Path(__file__).resolve().parent.parent.parent
EXTRAS = {"tests": "workshop/tests", "site": "workshop/site", "browser": "workshop/tests/browser"}


def install_packages(*extras: str) -> bool:
    """Make `.venv` hold the pinned packages and the workshop, and those of the extras. Returns whether anything was to do.

    Raises EnvironmentFailed."""
    files = [ROOT / folder / "requirements.txt" for folder in (".", *(EXTRAS[name] for name in extras))]
    with locked(ROOT / ".saved" / "install.lock", lambda: _say("packages", "another install is at work; waiting")):
        return make_environment(ROOT / ".venv", *files, progress=lambda text: _say("packages", text), editable=ROOT)


class Beside:
    """Brings the programs of all lessons in a process of its own, while the packages are installed; its lines come prefixed.

    `told` says whether there were any: what is at hand already is not worth a word."""

    def __init__(self) -> None:
        self.told = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workshop.programs"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**inherited_environment(), "PYTHONUTF8": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> bool:
        """Wait until it ends; False when a program could not be brought."""
        self._reader.join()
        return self._process.wait() == 0

    def stop(self) -> None:
        """End it; it ends what it has started itself."""
        if self._process.poll() is None:
            kill_group(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def _read(self) -> None:
        with self._process.stdout as pipe:
            for line in pipe:
                self.told = True
                _say("programs", line.decode(errors="replace").rstrip())


def _say(part: str, text: str) -> None:
    for line in text.splitlines():
        print(f"{part:<8} | {line}", flush=True)


def main(arguments: list[str]) -> int:
    """Install both halves, or the parts that `--only` names. The exit status is 0 when lessons can begin."""
    parser = argparse.ArgumentParser(prog="python3 -m workshop.setup.install", description=__doc__.splitlines()[0])
    parts = ("python", "programs", *EXTRAS)
    parser.add_argument("--only", nargs="+", choices=parts, default=("python", "programs"), help="do only these parts")
    only = parser.parse_args(arguments).only
    end_by_signals()
    started = time.monotonic()
    beside, changed = None, False
    try:
        if "programs" in only:
            with defer_signals():
                beside = Beside()
        if set(only) != {"programs"}:
            changed |= install_packages(*(name for name in EXTRAS if name in only))
            if changed and beside and beside.told:
                _say("packages", "ready")
        if beside:
            came = beside.wait()
            changed |= beside.told
            if set(only) == {"programs"} and not came:
                return 1
    except EnvironmentFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"\n{error.filename or ROOT}: {error.strerror}. The repository must lie where you may write.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run it again: it goes on from here.", file=sys.stderr)
        return 130
    finally:
        if beside:
            beside.stop()
    if changed:
        print(f"Ready after {time.monotonic() - started:.0f} s. Next: source .venv/bin/activate, then: workshop")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
