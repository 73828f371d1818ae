"""A payment provider for tests: it pays each refund once, and can lose, break or refuse an answer."""

import hmac
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class PaymentProvider(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1.

    `answers` says how the next requests end: `lost` (no answer), `broken` (500), `pending`,
    `refused`, `forgotten` (no answer, and not paid either); after them, it tells the truth.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secret = b"a secret of the provider's own"
        self.paid: dict[str, dict[str, Any]] = {}
        self.answers: list[str] = []
        self.unsigned = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/refunds"


class _Handler(BaseHTTPRequestHandler):
    server: PaymentProvider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._check(body)
        ending = self._next()
        if ending == "refused":
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "account closed"})
        if ending != "forgotten":
            self.server.paid.setdefault(self.headers["Idempotency-Key"], json.loads(body))
        self._end(ending)

    def do_GET(self) -> None:
        self._check(self.path.encode())
        ending = self._next()
        refund = unquote(self.path.rpartition("/")[2])
        if ending == "confirmed" and refund not in self.server.paid:
            return self._answer(HTTPStatus.NOT_FOUND, {"error": "no such refund"})
        self._end(ending)

    def _next(self) -> str:
        return self.server.answers.pop(0) if self.server.answers else "confirmed"

    def _end(self, ending: str) -> None:
        if ending in {"lost", "forgotten"}:
            self.close_connection = True
        elif ending == "broken":
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "try later"})
        else:
            self._answer(HTTPStatus.OK, {"state": ending, "evidence": "bank ref 4711"})

    def _check(self, content: bytes) -> None:
        said = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        proof = b64encode(hmac.digest(self.server.secret, said + content, "sha256")).decode()
        self.server.unsigned += self.headers["webhook-signature"] != f"v1,{proof}"

    def _answer(self, status: HTTPStatus, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The tests tell."""


@contextmanager
def paying() -> Iterator[PaymentProvider]:
    """A provider that listens until the block ends."""
    provider = PaymentProvider()
    thread = threading.Thread(target=provider.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        thread.join()
        provider.server_close()
