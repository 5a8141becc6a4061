"""Programs that run in a container that lives for a moment, with what a node has."""
