"""The guest: a small disk image of the project's own that servers boot, and how it is built."""
