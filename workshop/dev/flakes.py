"""`make flakes`: every lesson at its end, again and again in another order, and several times at once. Prints the count.

Before it come the tests that repeat for minutes what `make test` proves once.

Each round uses all cores by pytest-xdist; of those at once, each has one process.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter

from workshop.course import lessons

REPEATS = 10
AT_ONCE = 4


def main() -> int:
    """Run the rounds; returns 1 when a test that passed in one round failed in another, or failed in all."""
    failed = Counter(finish(_pytest("workshop/tests", "--thorough", "--numprocesses", "logical")))
    print(f"the thorough tests: {failed.total()} failures", flush=True)
    rounds = 0
    for number in range(REPEATS):
        failed.update(finish(begin(number, "--numprocesses", "logical", "--dist", "loadgroup")))
        rounds += 1
        print(f"round {rounds} of {REPEATS}: {failed.total()} failures so far", flush=True)
    for run in [begin(REPEATS + number) for number in range(AT_ONCE)]:
        failed.update(finish(run))
        rounds += 1
    print(f"{rounds} rounds, {AT_ONCE} of them at once: {failed.total()} failures")
    for name, count in failed.most_common():
        print(f"{count:>3} × {name}")
    return 1 if failed else 0


def begin(seed: int, *options: str) -> subprocess.Popen:
    """Start one round, the lessons in an order of its own."""
    folders = [str(lesson.folder) for lesson in lessons.lessons()]
    random.Random(seed).shuffle(folders)
    return _pytest("--at", "end", *options, *folders)


def _pytest(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", *arguments]
    return subprocess.Popen(command, cwd=lessons.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def finish(run: subprocess.Popen) -> list[str]:
    """The names of the tests that failed in a round, whose whole output is then shown."""
    output, _ = run.communicate()
    if run.returncode:
        print(output)
    names = re.findall(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", output, re.MULTILINE)
    return names or ([] if run.returncode == 0 else [f"a round that ended with {run.returncode}"])


if __name__ == "__main__":
    sys.exit(main())
