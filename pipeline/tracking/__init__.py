"""From instances to objects: pure."""
