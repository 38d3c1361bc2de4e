"""The programs that checks ask: each started once, and stopped together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from workshop.diagnosis.arrival import not_up
from workshop.diagnosis.facts import Broken
from workshop.programs import lifecycle
from workshop.programs.instance import Instance, NotReady, PortTaken, ProgramError
from workshop.programs.program import find


class Beside:
    """Programs that run beside the apps of checks. With `bring`, one that is missing is brought to this machine."""

    def __init__(self, bring: bool):
        self._bring = bring
        self._started: dict[str, Instance] = {}

    def program(
        self,
        name: str,
        configuration: Path | None = None,
        on_ports: Callable | None = None,
        settings: dict[str, str] | None = None,
    ) -> Instance:
        """A program of the checks, started at first use; one whose ports `on_ports` is told, before it starts, is the caller's to stop.

        It finds the programs that were asked for before by their settings, such as JAEGER_GRPC_PORT, and others by the
        `settings` that are given. Where the learner's own will do, nothing is brought to this machine for it. Raises Broken
        when there is no quick way to it, and NotReady when it does not run with that configuration."""
        program = find(name)
        if on_ports is None and name in self._started:
            return self._started[name]
        known = {}
        for other in self._started.values():
            known |= lifecycle.port_settings(other.program, other.ports)
        progress = (lambda line: print(line, file=sys.__stderr__)) if self._bring or on_ports else None
        try:
            started = lifecycle.for_checks(program, configuration, {**known, **(settings or {})}, progress, on_ports)
        except ProgramError as error:
            if configuration and isinstance(error, (NotReady, PortTaken)):
                raise
            raise Broken(not_up(program, str(error))) from None
        if on_ports is None:
            self._started[name] = started
        return started

    def stop(self) -> None:
        """Stop them all, the last one first."""
        while self._started:
            self._started.popitem()[1].stop()
