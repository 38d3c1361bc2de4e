"""Read by any pytest that is started here, also by one of another environment, which then says what to do."""


def pytest_configure(config):
    if not any(map(config.pluginmanager.has_plugin, ("workshop", "workshop.plugin"))):
        import pytest

        raise pytest.UsageError("this pytest does not know the workshop; run `source .venv/bin/activate`, then again")
