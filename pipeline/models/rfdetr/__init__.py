"""RF-DETR segmentation models by name: fetched, exported to ONNX once, and run by `pipeline.models.onnx`."""
