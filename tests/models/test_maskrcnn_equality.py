"""At full size, on the same weights and the same frame in float32, the worker finds what torchvision's forward finds.

test_maskrcnn_network.py checks the same for the parts, with small networks in a second.
"""

from __future__ import annotations

import pytest

from benchmarks.segment_equality import BOX_IOU, MASK_IOU, ROUNDING, SCORE, agreement_of
from benchmarks.segment_models import R50, STREET_MODEL, V2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "instances"), [(R50, 50), (V2, 50), (STREET_MODEL, 8)])
def test_every_instance_of_torchvision_is_found_with_its_box_its_score_and_its_mask(
    name: str, instances: int
) -> None:
    seen = agreement_of(name)
    assert seen.matched == seen.instances == seen.ours >= instances
    assert seen.box_iou >= BOX_IOU
    assert seen.score <= SCORE
    assert seen.mask_iou >= MASK_IOU
    assert seen.mask_value <= ROUNDING, "what is kept as bytes differs by rounding alone"
