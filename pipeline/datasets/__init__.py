"""Datasets for instance segmentation: one type in memory, and files in the formats that are in use."""
