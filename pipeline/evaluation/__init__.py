"""Counts, tracks and masks compared with ground truth: figures, tables, and pages with plots."""
