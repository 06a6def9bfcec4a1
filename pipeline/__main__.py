"""`python -m pipeline` is `tallycam`."""

from pipeline.cli import main

main()
