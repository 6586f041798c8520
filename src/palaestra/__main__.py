"""`python -m palaestra` is `palaestra`."""

from palaestra.cli import main

main()
