"""Saved states of a lab: save, rollback, clone and the golden state."""
