"""`python -m calypso_nb` is `calypso-nb`."""

from calypso_nb.cli.commands import main

main()
