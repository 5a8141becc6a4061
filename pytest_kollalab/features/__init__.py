"""Features: what a capability adds to a lab, each in a folder of its own."""
