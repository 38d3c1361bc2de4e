"""Serve the to-do list by a command of our own."""

import click
from opentelemetry import context

from wsgi import app


@click.command()
@click.option("--port", default=5001, show_default=True, help="Where to listen.")
def serve(port: int) -> None:
    """Serve the to-do list."""
    context.attach(context.Context())  # a request is no part of this command
    app.run(port=port)


if __name__ == "__main__":
    serve()
