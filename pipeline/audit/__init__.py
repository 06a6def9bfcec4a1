"""`tallycam audit`: every counted event as three pictures, for a person to say whether it is correct."""
