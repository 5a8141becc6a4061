"""The lab as an object, and reports about a lab and its host."""
