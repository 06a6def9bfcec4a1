"""What moves before a fixed camera, without weights."""
