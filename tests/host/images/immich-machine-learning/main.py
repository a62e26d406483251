"""A stand-in for immich-machine-learning: GET /ping, POST /predict, a model file in the cache, exit 0 on SIGTERM."""

import hashlib
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "clip/ViT-B-32__openai"
DIMENSIONS = 8


def write_model(cache):
    """The first start downloads a model; a later one finds it."""
    folder = os.path.join(cache, MODEL)
    path = os.path.join(folder, "model.onnx")
    if os.path.exists(path):
        print(f"Loading model '{MODEL}' from {path}", flush=True)
        return
    os.makedirs(folder, exist_ok=True)
    print(f"Downloading model '{MODEL}' to {path}", flush=True)
    with open(path + ".part", "wb") as file:
        file.write(b"model " * 4096)
    os.replace(path + ".part", path)


def embedding(content):
    """A vector that depends on nothing but the content."""
    digest = hashlib.sha256(content).digest()
    return [round(byte / 255, 4) for byte in digest[:DIMENSIONS]]


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
            vector = json.dumps(embedding(body))
            self.answer(200, json.dumps({"clip": vector}).encode(), "application/json")
        else:
            self.answer(404, b'{"detail":"Not Found"}', "application/json")

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    port = int(os.environ.get("IMMICH_PORT") or 3003)
    try:
        write_model(os.environ["MACHINE_LEARNING_CACHE_FOLDER"])
    except OSError as error:
        print(f"cannot write to the model cache: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    server = Server(("0.0.0.0", port), Handler)
    print(f"immich-machine-learning {os.environ.get('STANDIN_VERSION')} listens on port {port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
