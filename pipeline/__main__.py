"""`python -m pipeline` is `tallycam`."""

from pipeline.cli.app import main

main()
