"""The pytest plugin: hooks, the session, options, fixtures. Nothing else imports pytest."""
