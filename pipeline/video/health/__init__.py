"""Whether a camera can see: frozen, black, covered, moved and blurred pictures."""
