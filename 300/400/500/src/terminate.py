"""Start a server, ask it three times, end it as a container is ended, and count the SERVER spans that it told of."""

import subprocess
import sys
import time
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
asked, deadline = 0, time.monotonic() + 30
while asked < 3 and time.monotonic() < deadline:
    try:
        urlopen("http://localhost:5001/", timeout=10).close()
        asked += 1
    except URLError:
        Event().wait(0.05)  # not up yet
server.terminate()
print(server.communicate()[0].count("SpanKind.SERVER"))
