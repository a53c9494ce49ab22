"""Picture files: facts about them, what they look like, and `verify`."""
