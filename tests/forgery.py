"""Bundles altered by whoever has the key: every hash and the signature made anew."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tollkeeper.bundle import archive, chain, hash_of, signed
from tollkeeper.independent import verify
from tollkeeper.signing import Signer

Alter = Callable[[Any], None]
SIGNED = ("manifest.json", "signature.json")


def said(data: bytes, key: str | None = None) -> list[str]:
    lines: list[str] = []
    verify.verify(data, key, lines.append)
    return lines


def refusal(data: bytes) -> str:
    with pytest.raises(verify.Refused) as refused:
        said(data)
    return str(refused.value)


def place_of_refusal(data: bytes) -> str:
    """The first line of what is said: the place."""
    return refusal(data).splitlines()[0]


def contents(data: bytes) -> dict[str, bytes]:
    return verify.read_zip(data)


def forged(data: bytes, signer: Signer, name: str, alter: Alter) -> bytes:
    """With one file altered."""
    return forged_all(data, signer, {name: alter})


def forged_all(data: bytes, signer: Signer, alterations: dict[str, Alter]) -> bytes:
    files = contents(data)
    manifest = json.loads(files["manifest.json"])
    texts = {name: text for name, text in files.items() if name not in SIGNED}
    for name, alter in alterations.items():
        content = json.loads(files[name])
        alter(content)
        if name == "readings.json":
            for reading in content:
                reading["sha256"] = hash_of({k: v for k, v in reading.items() if k != "sha256"})
        if name == "journal.json":
            links = {"hash", "previous", "number"}
            groups = content["groups"]
            bare = [{k: v for k, v in each.items() if k not in links} for each in groups]
            content["groups"] = chain(bare)
            manifest["journal_head"] = content["groups"][-1]["hash"]
        texts[name] = json.dumps(content, ensure_ascii=False).encode()
    manifest["files"] = [
        {"path": name, "bytes": len(text), "sha256": sha256(text).hexdigest()}
        for name, text in sorted(texts.items())
    ]
    return archive(signed(texts, manifest, signer))
