"""The greeter: everything of one feature in one folder."""
