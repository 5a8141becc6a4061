"""The tests in tests/plugin run pytest inside pytest."""

pytest_plugins = ["pytester"]
