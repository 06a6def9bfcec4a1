"""The demonstration and its rendered street."""
