#!/usr/bin/env -S python3 -IS
"""Stands on PATH for the program of its name, which `server.py` has half started already."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

with socket.socket(socket.AF_UNIX) as server:
    folder, name = os.path.split(sys.argv[0])
    server.connect(os.path.join(folder, "socket"))
    ignored = [number for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
    request = json.dumps([os.getpid(), name, sys.argv[1:], os.getcwd(), dict(os.environ), ignored]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    for number in set(PASSED_ON) - set(ignored):
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(4)

if not answer:
    sys.exit("the server of this stand-in is gone")
status = int.from_bytes(answer, "big", signed=True)
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
