"""`python -m isoline` is the command line."""

from .cli import main

main(prog_name="isoline")
