"""Run as `python -m submit`."""

from submit.cli import main

if __name__ == "__main__":
    main(prog_name="python -m submit")
