"""Addresses that a browser can open, on a laptop and in a cloud workspace."""

import pytest

from workshop.setup.addresses import address

NAMES = ("CODESPACES", "CODESPACE_NAME", "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "GITPOD_WORKSPACE_URL")


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, "http://127.0.0.1:16686"),
        (
            {
                "CODESPACES": "true",
                "CODESPACE_NAME": "fluffy-potato",
                "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "preview.example",
            },
            "https://fluffy-potato-16686.preview.example",
        ),
        ({"CODESPACES": "true", "CODESPACE_NAME": "fluffy-potato"}, "https://fluffy-potato-16686.app.github.dev"),
        (
            {"GITPOD_WORKSPACE_URL": "https://me-repo-1a2b.ws-eu1.gitpod.io"},
            "https://16686-me-repo-1a2b.ws-eu1.gitpod.io",
        ),
        ({"CODESPACES": "false", "GITPOD_WORKSPACE_URL": ""}, "http://127.0.0.1:16686"),
    ],
)
def test_a_port_has_the_address_that_the_workspace_gives_it(monkeypatch, settings, expected):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert address(16686) == expected
