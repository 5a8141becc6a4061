"""Processes, files, locks and errors. All other packages may import these modules."""
