"""Counts, tracks and masks held against ground truth: figures, tables, and pages with plots."""
