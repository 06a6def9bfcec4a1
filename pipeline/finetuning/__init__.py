"""Training of a Mask R-CNN on one's own classes, from pre-trained weights."""
