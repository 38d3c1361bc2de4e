"""Read by any pytest that is started here, also by one of another environment, which then says what to do."""


def pytest_configure(config):
    if not config.pluginmanager.has_plugin("workshop"):
        import pytest

        raise pytest.UsageError("this pytest does not know the workshop; run `source .venv/bin/activate`, then again")
