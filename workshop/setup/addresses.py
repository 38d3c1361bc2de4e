"""Where a browser finds a port of this machine: here, or through the forwarding of a cloud workspace."""

from __future__ import annotations

import os
from urllib.parse import urlsplit


def address(port: int) -> str:
    """The address to print for a port that is open on 127.0.0.1.

    Codespaces and Gitpod give every port a name of its own. Ona does so only for ports that were opened there, and its
    editors forward 127.0.0.1 by themselves, as on a laptop."""
    if os.environ.get("CODESPACES") == "true":
        domain = os.environ.get("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.github.dev")
        return f"https://{os.environ.get('CODESPACE_NAME', '')}-{port}.{domain}"
    if workspace := urlsplit(os.environ.get("GITPOD_WORKSPACE_URL", "")).hostname:
        return f"https://{port}-{workspace}"
    return f"http://127.0.0.1:{port}"
