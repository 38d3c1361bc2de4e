"""What a server serves."""

import os

if os.environ.get("AGENT") == "":  # started without the agent
    import telemetry

    telemetry.set_up()

from todo import create_app

app = create_app()
