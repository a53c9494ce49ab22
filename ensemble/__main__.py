"""`python -m ensemble`."""

from ensemble.cli import main

main(prog_name="python -m ensemble")
