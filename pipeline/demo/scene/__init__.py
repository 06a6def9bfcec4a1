"""The renderer of the demo's street: a pinhole camera, actors with exact paths, and labels for every pixel."""
