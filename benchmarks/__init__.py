"""Measurements: how long the stages of a lab take."""
