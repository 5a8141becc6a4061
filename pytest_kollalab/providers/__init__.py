"""Where the nodes of a lab come from."""
