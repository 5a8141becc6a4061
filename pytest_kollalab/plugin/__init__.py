"""The pytest plugin: hooks, the session, options and fixtures."""
