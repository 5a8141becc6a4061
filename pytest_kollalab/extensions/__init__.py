"""Extensions from other packages and projects: the hooks, and their results as data."""
