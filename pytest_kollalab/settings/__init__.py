"""The settings: what the lab is, and how a run behaves."""
