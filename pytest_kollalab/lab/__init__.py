"""The lab as one object, and what command line and plugin say about it and its host."""
