"""What a publisher runs: distil, quantise, train, build, sign, publish, evaluate."""

import os

# ONNX Runtime reports to its maker since 1.32, unless this is set before anything imports it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
