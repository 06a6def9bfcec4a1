"""`tallycam audit`: every counted event as three pictures, so that a person can say whether it is right."""
