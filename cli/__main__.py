"""`python -m mmedagent.cli` is `mmedagent`."""

from mmedagent.cli.main import main

main()
