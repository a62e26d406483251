"""A small client for Redis: just the protocol, one connection per user of it."""

import socket
import threading


class RedisError(Exception):
    """The server answered with an error."""


class Redis:
    def __init__(self, host, port, password=None, index=0):
        self.address = (host, port)
        self.hello = [("AUTH", password)] if password else []
        if index:
            self.hello.append(("SELECT", str(index)))
        self.connection = self.stream = None
        self.lock = threading.Lock()

    def connect(self):
        self.connection = socket.create_connection(self.address, timeout=10)
        self.stream = self.connection.makefile("rb")
        for command in self.hello:
            self.send(command)
            self.receive()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = self.stream = None

    def __call__(self, *command):
        """Send a command and return its answer; a connection that broke is made anew, once."""
        with self.lock:
            for last in (False, True):
                try:
                    if not self.connection:
                        self.connect()
                    self.send(command)
                    return self.receive()
                except OSError:
                    self.close()
                    if last:
                        raise

    def send(self, command):
        parts = [f"*{len(command)}\r\n".encode()]
        for word in command:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.connection.sendall(b"".join(parts))

    def receive(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.receive() for _ in range(int(rest))]
        raise ConnectionError(f"not an answer of Redis: {line!r}")

    def bulk(self, size):
        data = self.stream.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("Redis closed the connection")
        return data[:-2]
