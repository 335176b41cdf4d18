"""Models in ONNX files as receivers: what their inputs and outputs mean is written down in contracts."""
