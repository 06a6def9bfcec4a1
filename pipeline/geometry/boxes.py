"""Axis-parallel boxes: conversion and overlap."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.plane import Floats


def ltwh_to_xyxy(boxes: Floats) -> Floats:
    """Converts boxes as MOTChallenge files have them.

    Args:
        boxes: (N, 4) left, top, width, height.

    Returns:
        (N, 4) x0 y0 x1 y1.
    """
    result: Floats = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
    return result


def box_iou(first_px: Floats, second_px: Floats) -> Floats:
    """Intersection over union of every box with every box.

    Args:
        first_px: (N, 4) x0 y0 x1 y1.
        second_px: (M, 4).

    Returns:
        (N, M), 0..1.
    """
    top_left = np.maximum(first_px[:, None, :2], second_px[None, :, :2])
    bottom_right = np.minimum(first_px[:, None, 2:], second_px[None, :, 2:])
    intersection = np.clip(bottom_right - top_left, 0.0, None).prod(axis=2)
    first_area = (first_px[:, 2:] - first_px[:, :2]).prod(axis=1)
    second_area = (second_px[:, 2:] - second_px[:, :2]).prod(axis=1)
    union = first_area[:, None] + second_area[None] - intersection
    result: Floats = intersection / np.maximum(union, 1e-9)
    return result
