"""Brings programs to this machine: `python3 -m workshop.programs [NAME ...]`. Without a name, those that all lessons need;
`all` stands for every one.

It needs nothing but Python, and says nothing about a program that is at hand already."""

from __future__ import annotations

import sys

from workshop.errors import UserError
from workshop.programs.methods import NotInstalled, at_hand, obtain
from workshop.programs.program import find, programs
from workshop.setup.commands import end_by_signals


def main(names: list[str]) -> int:
    """The exit status says whether all of them are here."""
    end_by_signals()
    try:
        known = programs().values()
        chosen = known if names == ["all"] else [find(name) for name in names] or [one for one in known if one.for_all_lessons]
        for program in chosen:
            if at_hand(program) is None:
                print(f"{program} is at {obtain(program, lambda text: print(text, flush=True))}")
    except NotInstalled as error:
        lessons = f"The lessons before it work; `{program.up}` tries again."
        print(f"{error}\nNo {program.title} yet. {lessons}", file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
