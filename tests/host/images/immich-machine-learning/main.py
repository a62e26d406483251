"""A stand-in for immich-machine-learning: a master, and a worker that answers. Exit 0 on SIGTERM.

It is gunicorn's manner: the master holds the socket, so that a ping which comes while there is no worker waits for the next
one; a worker that has died is told of in gunicorn's words, and another one is forked.
"""

import os
import signal

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # before what takes its time: nothing ends the first process of a container else

import random  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402

import log  # noqa: E402
import worker  # noqa: E402

BACKLOG = 2048
GRACE_SECONDS = 10


class Master:
    def __init__(self, listener):
        self.listener, self.pid = listener, os.getpid()
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)
        self.worker = self.fork()

    def fork(self):
        child = os.fork()
        if child:
            return child
        try:
            worker.run(self.listener)
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def run(self):
        while True:
            child, status = os.wait()
            if child == self.worker:
                tell(child, status)
                time.sleep(0.1 * random.random())  # as gunicorn does
                self.worker = self.fork()

    def end(self, number, frame):
        if os.getpid() != self.pid:
            os._exit(0)  # a worker that has no handler of its own yet
        log.info(f"Handling signal: {signal.Signals(number).name[3:].lower()}")
        try:
            os.kill(self.worker, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            while os.waitpid(self.worker, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.01)
        except (ProcessLookupError, ChildProcessError):
            pass
        log.info("Shutting down: Master")
        os._exit(0)


def tell(child, status):
    """What the master says about a worker that has ended. Until gunicorn 23 every signal was an error; from 24 on only SIGKILL."""
    if os.WIFEXITED(status):
        log.error(f"Worker (pid:{child}) exited with code {os.WEXITSTATUS(status)}.")
        return
    number = os.WTERMSIG(status)
    hint = " Perhaps out of memory?" if number == signal.SIGKILL else ""
    old = os.environ.get("STANDIN_VERSION", "").startswith("v2.")
    say = log.error if old or number == signal.SIGKILL else log.warning
    say(f"Worker (pid:{child}) was sent {signal.Signals(number).name}!{hint}")


def main():
    log.info(f"Initializing Immich ML {os.environ.get('STANDIN_VERSION')}")
    try:
        worker.write_model()
    except OSError as error:
        print(f"cannot write to the model cache: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    listener = socket.create_server(("0.0.0.0", int(os.environ.get("IMMICH_PORT") or 3003)), backlog=BACKLOG)
    log.info(f"Listening at: http://0.0.0.0:{listener.getsockname()[1]} ({os.getpid()})")
    Master(listener).run()


if __name__ == "__main__":
    main()
