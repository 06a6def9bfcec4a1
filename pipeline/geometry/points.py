"""Points of the plane: orientation of three points, and intersection of segments."""

from __future__ import annotations

from typing import TypeAlias

Xy: TypeAlias = tuple[float, float]
"""x, y."""


def orientation(a: Xy, b: Xy, c: Xy) -> float:
    """Twice the signed area of the triangle a b c.

    Its sign tells on which side of the line from a to b the point c is; 0 means on the line.

    Args:
        a: x y.
        b: x y.
        c: x y.
    """
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def segments_intersect(a: Xy, b: Xy, c: Xy, d: Xy) -> bool:
    """Whether the closed segments a-b and c-d share a point (Cormen et al., Introduction to Algorithms, 33.1).

    Args:
        a: x y.
        b: x y; the other end of the first segment.
        c: x y.
        d: x y; the other end of the second segment.
    """
    c_side, d_side = orientation(a, b, c), orientation(a, b, d)
    a_side, b_side = orientation(c, d, a), orientation(c, d, b)
    if ((c_side > 0 > d_side) or (c_side < 0 < d_side)) and ((a_side > 0 > b_side) or (a_side < 0 < b_side)):
        return True
    return (
        (c_side == 0 and _between(a, b, c))
        or (d_side == 0 and _between(a, b, d))
        or (a_side == 0 and _between(c, d, a))
        or (b_side == 0 and _between(c, d, b))
    )


def _between(a: Xy, b: Xy, c: Xy) -> bool:
    """Whether c, which is collinear with a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
