"""`python -m authz.cli`: the command line where the entry point `authz` is not installed."""

from authz.cli import main

main()
