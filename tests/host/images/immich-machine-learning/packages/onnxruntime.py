"""As much of onnxruntime as it takes to see whether a card is used. Sessions open the device nodes of their provider.

A node that was made without a driver behind it answers ENXIO: it is there and allowed, so it stands for a card that works.
"""

import errno
import glob
import json
import os
import struct
import sys
import time
import types

import numpy

VARIANT = os.environ.get("STANDIN_VARIANT") or "cpu"
CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": ["AzureExecutionProvider", CPU],
    "rocm": ["MIGraphXExecutionProvider", CPU],
    "openvino": ["OpenVINOExecutionProvider", CPU],
    "cuda": ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU],
}

__version__ = "1.23.2"


class Fail(RuntimeError):
    pass


class InvalidProtobuf(RuntimeError):
    pass


def get_available_providers():
    """Those that were compiled in, whatever the machine has."""
    return list(PROVIDERS[VARIANT])


def opens(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.ENXIO
    return True


def render_node():
    return any(opens(path) for path in sorted(glob.glob("/dev/dri/renderD*")))


def openvino_devices():
    return ["CPU", "GPU"] if render_node() else ["CPU"]


capi = types.SimpleNamespace(_pybind_state=types.SimpleNamespace(get_available_openvino_device_ids=openvino_devices))


def warn(place, message):
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now // 10**9))
    print(f"{stamp}.{now % 10**9:09} [W:onnxruntime:Default, {place}] {message}", file=sys.stderr, flush=True)


def created(provider, options):
    """Whether the provider can be had; one that fails as a whole raises, which ends in the fallback."""
    if provider == "CUDAExecutionProvider" and not opens("/dev/nvidia0"):
        warn(
            "onnxruntime_pybind_state.cc:992 CreateExecutionProviderFactoryInstance",
            "Failed to create CUDAExecutionProvider. Require cuDNN 9.* and CUDA 12.*. Please install all dependencies as mentioned"
            " in the GPU requirements page, make sure they're in the PATH, and that your GPU is supported.",
        )
        return False
    if provider == "MIGraphXExecutionProvider" and not (opens("/dev/kfd") and render_node()):
        warn("hip_call.cc:66 HipCall", "HIP failure 100: no ROCm-capable device is detected")
        raise Fail("HIP failure 100: no ROCm-capable device is detected ; GPU=0 ; expr=hipSetDevice(info_.device_id);")
    # its own default is the processor
    if provider == "OpenVINOExecutionProvider" and options.get("device_type", "CPU").startswith("GPU") and not render_node():
        warn("openvino_provider_factory.cc:0 ParseDeviceType", "Device GPU is not available")
        raise Fail(f"[ERROR] [OpenVINO] Unsupported device type: {options['device_type']}, available: CPU")
    return provider != "TensorrtExecutionProvider"


class SessionOptions:
    enable_profiling = False


class InferenceSession:
    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None):
        self.profile = "onnxruntime_profile.json" if sess_options and sess_options.enable_profiling else ""
        if isinstance(path_or_bytes, bytes):
            self.model = parse(path_or_bytes)
        else:
            with open(path_or_bytes, "rb") as file:
                content = file.read()
            # those in the stand-in's own cache are none
            self.model = Model() if content.startswith(b"model ") else parse(content)
        wanted = []
        for number, provider in enumerate(providers or get_available_providers()):
            name, options = provider if isinstance(provider, tuple) else (provider, (provider_options or [{}] * 9)[number])
            if name in PROVIDERS[VARIANT]:
                wanted.append((name, options))
            else:
                print(
                    f"UserWarning: Specified provider '{name}' is not in available provider names."
                    f"Available providers: '{', '.join(PROVIDERS[VARIANT])}'",
                    file=sys.stderr,
                )
        try:
            self.providers = [name for name, options in wanted if created(name, options)]
        except Fail as error:
            print("*************** EP Error ***************")
            print(f"EP Error {error} when using {providers}")
            print(f"Falling back to ['{CPU}'] and retrying.")
            print("****************************************", flush=True)
            self.providers = [CPU]
        if CPU not in self.providers:
            self.providers.append(CPU)

    def get_providers(self):
        return list(self.providers)

    def get_inputs(self):
        return [types.SimpleNamespace(name=name, shape=[1], type="tensor(float)") for name in self.model.inputs]

    def get_outputs(self):
        return [types.SimpleNamespace(name=name, shape=[1], type="tensor(float)") for name in self.model.outputs]

    def end_profiling(self):
        """Which provider each node ran on."""
        events = [{"cat": "Session", "name": "model_loading_array", "args": {}}]
        events.append({"cat": "Node", "name": "node_kernel_time", "args": {"provider": self.providers[0]}})
        with open(self.profile, "w") as file:
            json.dump(events, file)
        return self.profile

    def run(self, output_names, input_feed, run_options=None):
        missing = [name for name in self.model.inputs if name not in input_feed]
        if missing:
            raise ValueError(f"Required inputs ({missing}) are missing from input feed ({list(input_feed)}).")
        for name, value in input_feed.items():
            if not isinstance(value, numpy.ndarray):
                raise RuntimeError(f"Input '{name}' is no array: {type(value)}")
        values = [input_feed[name] for name in self.model.operands if name in input_feed]
        if self.model.operation == "Add":
            return [numpy.array(sum(each) for each in zip(*values))]
        if self.model.operation == "MatMul":
            rows = values[0] if values[0].shape != (len(values[0]),) else [values[0]]
            columns = list(zip(*self.model.constant))
            return [numpy.array([[sum(a * b for a, b in zip(row, column)) for column in columns] for row in rows])]
        return [values[0]]


class Model:
    """One node of a graph."""

    def __init__(self):
        self.inputs, self.outputs, self.operands, self.operation, self.constant = [], [], [], "", []


def parse(content):
    """What the real one insists on: a version, a set of operators, and a graph with a node, inputs and outputs."""
    model = Model()
    try:
        found = list(fields(content))
        graph = [value for number, value in found if number == 7]
        if not {1, 8} <= {number for number, _ in found} or len(graph) != 1:
            raise ValueError("ir_version, opset_import or graph is missing")
        for number, value in fields(graph[0]):
            if number in (11, 12):
                (model.inputs if number == 11 else model.outputs).append(text(value, 1))
            elif number == 5:
                model.constant = matrix(value)
            elif number == 1:
                model.operands += [name.decode() for field, name in fields(value) if field == 1]
                model.operation = text(value, 4)
        if not (model.inputs and model.outputs and model.operation):
            raise ValueError("the graph has no node, no input or no output")
    except (IndexError, ValueError) as error:
        reason = f"Failed to load model because protobuf parsing failed. ({error})"
        raise InvalidProtobuf(f"[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : {reason}") from error
    return model


def matrix(tensor):
    """A square one of floats."""
    packed = b"".join(value for number, value in fields(tensor) if number in (4, 9))
    floats = struct.unpack(f"<{len(packed) // 4}f", packed)
    side = int(len(floats) ** 0.5)
    return [list(floats[at : at + side]) for at in range(0, len(floats), side)]


def text(content, wanted):
    return next(value.decode() for number, value in fields(content) if number == wanted)


def fields(content):
    """The fields of a protobuf message: numbers, and what has a length."""
    at = 0
    while at < len(content):
        key, at = varint(content, at)
        if key & 7 == 0:
            value, at = varint(content, at)
        elif key & 7 == 2:
            length, at = varint(content, at)
            value, at = content[at : at + length], at + length
            if at > len(content):
                raise ValueError("cut off")
        elif key & 7 in (1, 5):
            size = 8 if key & 7 == 1 else 4
            value, at = content[at : at + size], at + size
        else:
            raise ValueError(f"wire type {key & 7}")
        yield key >> 3, value


def varint(content, at):
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
