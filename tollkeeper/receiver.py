"""A small finance system for the demo: it takes documents over HTTP, and drops second copies."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY = 1 << 20


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; `received` holds one message per idempotency key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        key = self.headers.get("Idempotency-Key")
        length = int(self.headers.get("Content-Length", "0"))
        if not key or length > MAX_BODY:
            self.send_error(HTTPStatus.BAD_REQUEST, "expected an Idempotency-Key and a small body")
            return
        message = json.loads(self.rfile.read(length))
        fresh = self.server.received.setdefault(key, message) is message
        body = json.dumps({"key": key, "fresh": fresh}).encode()
        self.send_response(HTTPStatus.CREATED if fresh else HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The demo tells its own story."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
