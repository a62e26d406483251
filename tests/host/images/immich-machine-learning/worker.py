"""The worker: GET /ping, POST /predict, a model from the cache.

Files in the cache make it misbehave, for as long as they are there:
  crash   a /predict kills it while it loads the model, before it has answered, by SIGSEGV or by the signal that the file names
  idle    it ends itself as one does that had nothing to do for MACHINE_LEARNING_MODEL_TTL seconds, about a second after each /predict
"""

import hashlib
import json
import os
import resource
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import log

MODEL = "clip/ViT-B-32__openai"
DIMENSIONS = 8
POLL_SECONDS = 1
# of those that onnxruntime has, Immich uses these, in this order
SUPPORTED = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider")


def cache(name):
    return os.path.join(os.environ["MACHINE_LEARNING_CACHE_FOLDER"], name)


def write_model():
    """The first start downloads a model; a later one finds it."""
    folder = cache(MODEL)
    path = os.path.join(folder, "model.onnx")
    if os.path.exists(path):
        return
    os.makedirs(folder, exist_ok=True)
    log.info(f"Downloading model '{MODEL}' to {path}. This may take a while.")
    with open(path + ".part", "wb") as file:
        file.write(b"model " * 4096)
    os.replace(path + ".part", path)


class Model:
    """Loaded by the first request of each worker, and kept."""

    def __init__(self):
        self.lock = threading.Lock()
        self.session = None

    def load(self):
        with self.lock:
            if self.session and not os.path.exists(cache("crash")):
                return
            import onnxruntime  # here, as each worker does it for itself

            log.info(f"Loading visual model '{MODEL.split('/')[1]}' to memory")
            available = onnxruntime.get_available_providers()
            providers = [name for name in SUPPORTED if name in available]
            log.info(f"Setting execution providers to {providers}, in descending order of preference")
            crash()
            options = [{"device_type": openvino_device(onnxruntime)} if "OpenVINO" in name else {} for name in providers]
            path = os.path.join(cache(MODEL), "model.onnx")
            self.session = onnxruntime.InferenceSession(path, providers=providers, provider_options=options)


def openvino_device(onnxruntime):
    """Immich asks what OpenVINO has, and says nothing where that is the processor alone."""
    found = onnxruntime.capi._pybind_state.get_available_openvino_device_ids()
    return "GPU.0" if any(name.startswith("GPU") for name in found) else "CPU"


def crash():
    try:
        with open(cache("crash"), encoding="utf-8") as file:
            name = file.read().strip()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), getattr(signal, name or "SIGSEGV"))
    time.sleep(1)  # a signal to oneself may reach another thread first


class Activity:
    """When there was something to do, and the end of a worker that has nothing to do."""

    def __init__(self):
        self.last = None
        self.active = 0
        self.lock = threading.Lock()

    def __enter__(self):
        with self.lock:
            self.active, self.last = self.active + 1, time.time()

    def __exit__(self, *reason):
        with self.lock:
            self.active -= 1

    def watch(self):
        while True:
            time.sleep(POLL_SECONDS)
            seconds = 0 if os.path.exists(cache("idle")) else int(os.environ.get("MACHINE_LEARNING_MODEL_TTL") or 300)
            forever = seconds == 0 and not os.path.exists(cache("idle"))
            if self.last and not self.active and not forever and time.time() - self.last > seconds:
                log.info("Shutting down due to inactivity.")
                for line in ("Shutting down", "Waiting for application shutdown.", "Application shutdown complete."):
                    log.info(line)
                log.info(f"Finished server process [{os.getpid()}]")
                os.kill(os.getpid(), signal.SIGINT)


def embedding(content):
    """A vector that depends on nothing but the content."""
    digest = hashlib.sha256(content).digest()
    return [round(byte / 255, 4) for byte in digest[:DIMENSIONS]]


MODEL_IN_MEMORY, ACTIVITY = Model(), Activity()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/ping":
            self.answer(200, b"pong", "text/plain; charset=utf-8")
        elif self.path == "/":
            self.answer(200, b'{"message":"Immich ML"}', "application/json")
        else:
            self.answer(404, b'{"detail":"Not Found"}', "application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/predict":
            with ACTIVITY:
                MODEL_IN_MEMORY.load()
                vector = json.dumps(embedding(body))
                self.answer(200, json.dumps({"clip": vector}).encode(), "application/json")
                self.wfile.flush()
        else:
            self.answer(404, b'{"detail":"Not Found"}', "application/json")

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def run(listener):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log.info(f"Booting worker with pid: {os.getpid()}")
    log.info(f"Started server process [{os.getpid()}]")
    log.info("Waiting for application startup.")
    seconds = int(os.environ.get("MACHINE_LEARNING_MODEL_TTL") or 300)
    log.info(f"Created in-memory cache with unloading {f'after {seconds}s of inactivity' if seconds else 'disabled'}.")
    log.info(f"Initialized request thread pool with {os.cpu_count()} threads.")
    if os.environ.get("MACHINE_LEARNING_PRELOAD__CLIP__VISUAL"):
        MODEL_IN_MEMORY.load()
    threading.Thread(target=ACTIVITY.watch, daemon=True).start()
    log.info("Application startup complete.")
    Server(listener).serve_forever()
