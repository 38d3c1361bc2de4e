"""`make demo` in a terminal: it says what differs from the usual, and Ctrl-C is its quiet end."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from workshop.checks.sandbox import APP
from workshop.course.fences import ROOT
from workshop.programs.jaeger import JAEGER, Jaeger, for_checks
from workshop.scenarios import demo
from workshop.setup.commands import inherited_environment, kill_group
from workshop.setup.ports import is_listening

SECONDS = 120


@pytest.fixture(scope="module")
def jaeger():
    with for_checks() as started:
        yield started


def demo_until_ctrl_c(jaeger: Jaeger, **more: str) -> tuple[str, int]:
    """What a terminal shows from `make demo` to Ctrl-C, and how make ended."""
    ours, theirs = pty.openpty()
    ports = {JAEGER.setting(f"{name}_port"): str(port) for name, port in jaeger.ports.items()}
    env = {**inherited_environment(), **ports, "JAEGER_URL": jaeger.url, **more}
    said, pause = bytearray(), threading.Event()
    # The rule of `demo` alone: what it needs is installed.
    command = [shutil.which("make"), "--no-print-directory", "--assume-old=install", "demo"]
    how = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, env=env, **how) as process:
        os.close(theirs)

        def read() -> None:
            try:
                while chunk := os.read(ours, 4096):
                    said.extend(chunk)
            except OSError:
                pass  # Linux says so when the last process has left the terminal

        reader = threading.Thread(target=read)
        reader.start()
        try:
            deadline = time.monotonic() + SECONDS
            while b"Ctrl-C ends it." not in said and process.poll() is None and time.monotonic() < deadline:
                pause.wait(0.05)
            kill_group(process.pid, signal.SIGINT)
            process.wait(30)
        finally:
            kill_group(process.pid)
            reader.join()
            os.close(ours)
    return said.decode(errors="replace"), process.returncode


def test_ctrl_c_ends_make_demo_without_a_word_of_an_error(jaeger):
    said, code = demo_until_ctrl_c(jaeger, WORKSHOP_BESIDE="1")
    shown, _, after = said.partition("Ctrl-C ends it.")
    assert "POST /add" in shown and after, said
    assert not re.search(r"Error|\*\*\*|Stopped|Traceback", after), after
    assert code in (0, -signal.SIGINT)


def test_a_taken_port_of_the_app_is_said(jaeger, tmp_path, monkeypatch):
    monkeypatch.setenv("JAEGER_URL", jaeger.url)
    for name, port in jaeger.ports.items():
        monkeypatch.setenv(JAEGER.setting(f"{name}_port"), str(port))
    told: list[str] = []
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not is_listening(APP):
            stranger.bind(("127.0.0.1", APP))
            stranger.listen()
        demo.show(told.append, stay=False)
    assert any(line.startswith(f"Port {APP} is taken by ") and line.endswith("listens on another one.") for line in told)


@pytest.mark.parametrize("page", [True, False])
def test_it_says_whether_jaeger_has_a_web_page(jaeger, monkeypatch, page):
    monkeypatch.setenv("JAEGER_URL", jaeger.url)
    for name, port in jaeger.ports.items():
        monkeypatch.setenv(JAEGER.setting(f"{name}_port"), str(port))
    monkeypatch.setattr(Jaeger, "has_page", lambda self: page)
    told: list[str] = []
    demo.show(told.append, stay=False, beside=True)
    said = "\n".join(told)
    trace = re.search(r"workshop trace ([0-9a-f]{32})", said)[1]
    assert (f"Jaeger's page   {jaeger.url}" in said and f"{jaeger.url}/trace/{trace}" in said) == page
    assert ("has no web page" in said) != page
