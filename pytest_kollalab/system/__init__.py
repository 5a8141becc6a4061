"""What everything else stands on: processes, files, locks, errors. Imports nothing from above."""
