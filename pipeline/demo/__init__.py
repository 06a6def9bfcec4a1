"""`tallycam demo`, the rendered street it counts, and the training of the model that ships."""
