"""The version of the kit: here and nowhere else; pyproject.toml reads it from here."""

VERSION = "0.1.0"
