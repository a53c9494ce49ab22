"""`python -m models`."""

from __future__ import annotations

from models.cli import main

if __name__ == "__main__":
    main(prog_name="python -m models")
