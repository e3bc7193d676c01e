"""`python -m edeploy`: the command line, for callers that know their Python and not their PATH."""

from edeploy.cli.main import main

main()
