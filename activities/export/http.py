"""A system that takes messages over HTTP: signed JSON, with the key so that a second copy is dropped."""

import time
from dataclasses import dataclass
from uuid import uuid4

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from activities.export.port import Endpoint, Listed, Message, Taken
from activities.export.signature import signed
from contracts.errors import KeyReused, TermsError, Unavailable

ANSWER_SECONDS = 20.0
WORDS_KEPT = 2_000
WORDS_SAID = 200
PASSING = {401, 403, 408, 425, 429}
"""Refusals that somebody may put right: a secret, a clock, too much at once. Other 4xx are final."""


class Page(BaseModel):
    """One page of the listing; `next` is what to ask for `after`, on the last page there is none."""

    model_config = ConfigDict(frozen=True)

    documents: tuple[Listed, ...]
    next: str | None = None


@dataclass(frozen=True)
class OverHttp:
    """POST hands over, GET on the same URL lists."""

    endpoint: Endpoint
    client: httpx.AsyncClient

    async def take(self, message: Message) -> Taken:
        """As the port says. The signed id is the key, whose dots would part the signed text."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        identity = message.key.replace(".", ":")
        request = self.client.build_request(
            "POST",
            self.endpoint.url,
            content=message.body,
            headers=headers | self._signed(identity, message.body),
            timeout=ANSWER_SECONDS,
        )
        answer = await self._answer(request, str(message))
        if answer.status_code == httpx.codes.CONFLICT:
            raise KeyReused(
                f"{message} is there with other content: {words_of(answer, WORDS_SAID)}; expected "
                f"sha256 {message.sha256}"
            )
        _require_success(answer, str(message))
        return Taken(self.endpoint.url, answer.status_code, words_of(answer))

    async def documents(self) -> list[Listed]:
        """As the port says, page by page."""
        found: list[Listed] = []
        after: str | None = None
        seen = {after}
        while True:
            page = await self._page(after)
            found += page.documents
            after = page.next
            if after is None:
                return found
            if after in seen:
                raise TermsError(
                    f"{self.endpoint.url}: found the page after {after!r} announced twice, "
                    "expected the listing to end"
                )
            seen.add(after)

    async def _page(self, after: str | None) -> Page:
        url = httpx.URL(self.endpoint.url)
        if after is not None:
            url = url.copy_merge_params({"after": after})
        # A listing has no body: what is asked for is signed in its place.
        headers = self._signed(uuid4().hex, url.raw_path)
        request = self.client.build_request("GET", url, headers=headers, timeout=ANSWER_SECONDS)
        name = f"the listing at {self.endpoint.url}"
        answer = await self._answer(request, name)
        _require_success(answer, name)
        return read_page(answer.text, name)

    def _signed(self, identity: str, content: bytes) -> dict[str, str]:
        return signed(self.endpoint.secrets, identity, int(time.time()), content)

    async def _answer(self, request: httpx.Request, name: str) -> httpx.Response:
        try:
            return await self.client.send(request)
        except httpx.TransportError as down:
            raise Unavailable(f"{name}: no answer: {down!r}") from down


def read_page(text: str, name: str) -> Page:
    """A page of a listing, from an answer or from a file.

    Raises:
        TermsError: it is none.
    """
    try:
        return Page.model_validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise TermsError(
            f"{name}: {place}: {first['msg']}; expected a page of documents"
        ) from wrong


def _require_success(answer: httpx.Response, name: str) -> None:
    status, words = answer.status_code, words_of(answer, WORDS_SAID)
    if status >= 500 or status in PASSING:
        raise Unavailable(f"{name}: answered {status}: {words}")
    if not answer.is_success:
        raise TermsError(f"{name} was refused with {status}: {words}")


def words_of(answer: httpx.Response, kept: int = WORDS_KEPT) -> str:
    """The first characters of an answer, as PostgreSQL can keep them."""
    return answer.text[:kept].replace("\0", "\N{REPLACEMENT CHARACTER}")
