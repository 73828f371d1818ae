"""A small finance system for the demo and the tests: it checks signatures, and drops second copies.

It shares no code with the sending side, so that it proves what the page on the export promises.
"""

import hmac
import json
import secrets
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 1 << 20
PAGE = 100
TOLERANCE_SECONDS = 300
"""How far the clocks may be apart; an older message may be one that was listened to."""


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; `received` holds one message per idempotency key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        self.received: dict[str, dict[str, Any]] = {}
        self.digests: dict[str, str] = {}
        self._writing = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/documents"

    def take(self, key: str, body: bytes) -> HTTPStatus:
        """Keep a message; a second copy is dropped, other content under its key is refused."""
        digest = sha256(body).hexdigest()
        with self._writing:
            if key in self.digests:
                same = self.digests[key] == digest
                return HTTPStatus.OK if same else HTTPStatus.CONFLICT
            self.digests[key], self.received[key] = digest, json.loads(body)
            return HTTPStatus.CREATED

    def page(self, after: str) -> dict[str, Any]:
        """A page of the listing: the documents and releases after that number."""
        with self._writing:
            messages = sorted(self.received.items())
        listed = [self._listed(key, said) for key, said in messages if key > after]
        documents = [entry for entry in listed if entry]
        more = len(documents) > PAGE
        return {
            "documents": documents[:PAGE],
            "next": documents[PAGE - 1]["number"] if more else None,
        }

    def _listed(self, key: str, said: dict[str, Any]) -> dict[str, Any] | None:
        """A notice is no document, and has no amount."""
        gross = said.get("gross", said.get("payable"))
        if gross is None:
            return None
        return {
            "number": key,
            "document": said.get("document", "release"),
            "gross": gross,
            "currency": said["currency"],
            "sha256": self.digests[key],
        }


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > MAX_BODY:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"over {MAX_BODY} bytes"})
            return
        body = self.rfile.read(length)
        key = self.headers.get("Idempotency-Key", "")
        if error := self._unproven(body):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": error})
        elif self.headers["webhook-id"] != key.replace(".", ":"):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "the signed id is not that of the key"})
        else:
            status = self.server.take(key, body)
            self._answer(status, {"key": key, "sha256": self.server.digests[key]})

    def do_GET(self) -> None:
        if error := self._unproven(self.path.encode()):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": error})
        else:
            after = parse_qs(urlsplit(self.path).query).get("after", [""])
            self._answer(HTTPStatus.OK, self.server.page(after[0]))

    def _unproven(self, content: bytes) -> str | None:
        """What is wrong with the signature, if anything."""
        identity = self.headers.get("webhook-id", "")
        sent = self.headers.get("webhook-timestamp", "")
        if not sent.isdecimal() or abs(time.time() - int(sent)) > TOLERANCE_SECONDS:
            return f"found timestamp {sent!r}, expected one of the last {TOLERANCE_SECONDS} s"
        secret = b64decode(self.server.secret.removeprefix("whsec_"))
        proof = hmac.new(secret, f"{identity}.{sent}.".encode() + content, sha256).digest()
        expected = f"v1,{b64encode(proof).decode()}"
        given = self.headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(expected, one) for one in given):
            return "found no signature by our secret over these bytes, expected one"
        return None

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The demo tells its own story."""


@contextmanager
def receiving(receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = receiver or Receiver()
    thread = threading.Thread(target=receiver.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
