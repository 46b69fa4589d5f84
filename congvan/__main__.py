"""`python -m congvan`: the command without an installed script."""

from congvan.cli import main

main()
