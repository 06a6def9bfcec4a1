"""The configuration: schema, loading and error messages."""
