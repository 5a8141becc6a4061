"""What other packages and projects bring: the hooks, and their answers as data."""
