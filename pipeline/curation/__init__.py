"""Datasets looked at, refined, and collected from runs."""
