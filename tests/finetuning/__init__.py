"""Training on one's own classes."""
