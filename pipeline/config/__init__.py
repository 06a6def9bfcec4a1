"""The configuration: schema, loading, errors."""
