"""The renderer of the street."""
