"""What leaves over HTTP is signed; the expected values are computed here, from the bytes up."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from activities.export.port import Endpoint, read_address
from activities.export.signature import read_secrets, signed
from contracts.errors import TermsError
from tollkeeper.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "money" / "export.md"

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 24).decode()


def by_hand(key: bytes, said: bytes) -> str:
    """HMAC-SHA256 as RFC 2104 writes it."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + said).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()
    return "v1," + base64.b64encode(outer).decode()


def test_the_published_example_of_the_standard_is_signed_as_published() -> None:
    """S-01"""
    secrets = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_id_timestamp_and_body_are_signed_as_one_text() -> None:
    body = '{"buyer":"恒达"}'.encode()
    headers = signed(read_secrets(SECRET), "QM-INV-2026-000001", 1795305600, body)
    said = b"QM-INV-2026-000001.1795305600." + body
    assert headers["webhook-signature"] == by_hand(bytes(range(32)), said)


def test_while_a_secret_is_replaced_both_sign() -> None:
    """S-02"""
    headers = signed(read_secrets(f"{SECRET} {OTHER}"), "M1", 1795305600, b"{}")
    said = b"M1.1795305600.{}"
    proofs = [by_hand(bytes(range(32)), said), by_hand(b"o" * 24, said)]
    assert headers["webhook-signature"].split() == proofs


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(bytes(32)).decode(),  # without its prefix
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_not base64",
    ],
)
def test_a_weak_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="expected whsec_") as refused:
        read_secrets(text)
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://finance.example/documents?of=1",
        "http://127.0.0.1:8000/",
        "http://[::1]:8000/",
        "http://localhost/x",
        "file:///srv/finance",
        "file://localhost/srv/finance",
    ],
)
def test_a_receiver_is_https_or_a_folder(text: str) -> None:
    assert read_address(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://finance.example/documents", "expected https"),
        ("http://127.0.0.1.example/", "expected https"),
        ("ftp://finance.example/", "expected https://HOST/PATH or file:///FOLDER"),
        ("https:///documents", "expected https://HOST/PATH"),
        ("https://me:pass@finance.example/", "without user"),
        ("https://finance.example/#part", "without user or fragment"),
        ("file://share/finance", "expected https://HOST/PATH"),
        ("file:///", "expected https://HOST/PATH"),
        ("/srv/finance", "expected https://HOST/PATH"),
    ],
)
def test_any_other_receiver_is_refused_in_words(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        read_address(text)


def set_to(**values: Any) -> Settings:
    return Settings(**values, _env_file=None)


def test_a_receiver_over_http_without_a_secret_is_refused_before_anything_starts() -> None:
    with pytest.raises(TermsError, match="TOLLKEEPER_FINANCE_SECRET: found no secret"):
        set_to(finance_url="https://finance.example/documents").receivers()


def test_a_folder_needs_no_secret() -> None:
    receivers = set_to(finance_url="file:///srv/finance").receivers()
    assert {endpoint.folder for endpoint in receivers.values()} == {Path("/srv/finance")}


def test_a_setting_that_is_no_secret_is_named_without_its_value() -> None:
    with pytest.raises(ValidationError, match="expected whsec_") as refused:
        set_to(finance_secret="topsecret")
    assert "topsecret" not in str(refused.value.errors()[0]["ctx"]["error"])


def test_a_secret_is_in_no_text_about_its_endpoint() -> None:
    """S-39"""
    (secret,) = read_secrets(SECRET)
    endpoint = Endpoint("https://finance.example/", (secret,))
    settings = set_to(finance_secret=SecretStr(SECRET))
    assert repr(secret)[2:-1] not in repr(endpoint)
    assert SECRET not in repr(settings)


def test_sandbox_documents_never_reach_the_finance_of_the_live_book() -> None:
    receivers = set_to(
        finance_url="file:///srv/finance",
        notice_url="file:///srv/notices",
        sandbox_url="file:///srv/sandbox",
    ).receivers()
    sandbox = {endpoint.url for (book, _), endpoint in receivers.items() if book == "sandbox"}
    live = {endpoint.url for (book, _), endpoint in receivers.items() if book == "live"}
    assert (sandbox, live) == (
        {"file:///srv/sandbox"},
        {"file:///srv/finance", "file:///srv/notices"},
    )
    without = set_to(finance_url="file:///srv/finance").receivers()
    assert {book for book, _ in without} == {"live"}


def test_the_verification_on_the_page_accepts_ours_and_nothing_else() -> None:
    program = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(program, names)
    verified = names["verified"]
    now, body = 1795305600, b'{"number":"QM-INV-2026-000001"}'
    headers = signed(read_secrets(f"{OTHER} {SECRET}"), "QM-INV-2026-000001", now, body)
    assert verified(SECRET, headers, body, now)
    assert verified(SECRET, headers, body, now + 300)
    assert not verified(SECRET, headers, body, now + 301)
    assert not verified(SECRET, headers, body, now - 301)
    assert not verified(SECRET, headers, body + b" ", now)
    assert not verified(SECRET, headers | {"webhook-id": "QM-INV-2026-000002"}, body, now)
    assert not verified("whsec_" + base64.b64encode(bytes(32)).decode(), headers, body, now)
    assert not verified(SECRET, {}, body, now)
