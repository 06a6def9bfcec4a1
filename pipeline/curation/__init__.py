"""Datasets looked at, and collected from cameras and recordings."""
