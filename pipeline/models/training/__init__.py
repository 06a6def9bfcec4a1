"""Training of the model that ships."""
