"""Has a provider of onnxruntime multiply four numbers by a matrix, and says who did it. Run in the image of machine learning.

What a provider is available says nothing: the library is in the image whether there is a card or not. A session whose provider
finds none falls back to the processor, and a provider that is taken may still leave the work to it; the profile tells.
"""

import base64
import json
import os
import sys
import tempfile

import numpy
import onnxruntime

# y = x * w: float[1,4] by a constant float[4,4] of 0.5, operator set 13.
MODEL = (
    "CAg6jQEKEQoBeAoBdxIBeSIGTWF0TXVsEgFnKksIBAgEEAEiQAAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAA"
    "AD8AAAA/AAAAPwAAAD9CAXdaEwoBeBIOCgwIARIICgIIAQoCCARiEwoBeRIOCgwIARIICgIIAQoCCARCAhAN"
)
# Without it OpenVINO takes the processor where it finds no card, and does not say so.
OPTIONS = {"OpenVINOExecutionProvider": {"device_type": "GPU"}}

provider = sys.argv[1]
os.chdir(tempfile.mkdtemp())
options = onnxruntime.SessionOptions()
options.enable_profiling = True
session = onnxruntime.InferenceSession(
    base64.b64decode(MODEL), options, providers=[provider], provider_options=[OPTIONS.get(provider, {})]
)
result = session.run(None, {"x": numpy.ones((1, 4), dtype=numpy.float32)})[0]
with open(session.end_profiling()) as profile:
    events = json.load(profile)
used = sorted({event["args"]["provider"] for event in events if event.get("args", {}).get("provider")})
right = all(abs(float(value) - 2.0) < 0.01 for value in result[0])
print(json.dumps({"available": onnxruntime.get_available_providers(), "used": used, "right": right}))
