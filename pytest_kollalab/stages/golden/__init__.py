"""Golden states that travel: pushed to a registry, a folder or a file, and fetched from there."""
