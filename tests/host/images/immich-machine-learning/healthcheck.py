"""Exits 0 when the service on this container's port answers its ping."""

import os
import socket
import sys

try:
    address = ("127.0.0.1", int(os.environ.get("IMMICH_PORT") or 3003))
    with socket.create_connection(address, timeout=2) as connection:
        connection.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    sys.exit(0 if answer.endswith(b"pong") else 1)
except OSError as error:
    print(error)
    sys.exit(1)
