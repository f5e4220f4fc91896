"""Signatures: who has the key, which lease, how old; each a refusal of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from edgeckpt_host.errors import EXIT

from .conftest import Result, raw_app


def write_keys(folder: Path, private: str = "key.pem", public: str = "public.pem") -> None:
    """A key pair as openssl writes it."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = s.Encoding.PEM
    (folder / private).write_bytes(key.private_bytes(pem, s.PrivateFormat.PKCS8, s.NoEncryption()))
    (folder / public).write_bytes(
        key.public_key().public_bytes(pem, s.PublicFormat.SubjectPublicKeyInfo)
    )


def test_signed_images(
    board: Callable[..., Any], edgeckpt: Callable[..., Result], tmp_path: Path
) -> None:
    write_keys(tmp_path)
    write_keys(tmp_path, "other.pem", "others.pem")
    a = board(raw_app(600, 3), ready=b"ready")
    b = board(raw_app(600, 3, lease_id=0xB0A2D), ready=b"ready")
    port, elsewhere = ("-p", a.link, "--leave"), ("-p", b.link, "--leave")
    edgeckpt("pull", *port, "a.img")
    key = ("--key", "public.pem")
    assert "not signed" in edgeckpt("verify", "a.img", *key, code=EXIT["unproved"]).err
    assert "sequence 3" in edgeckpt("sign", "a.img", "--key", "key.pem").out
    assert ", signed" in edgeckpt("verify", "a.img", *key).out
    said = edgeckpt("verify", "a.img", "--key", "others.pem", code=EXIT["unproved"]).err
    assert "does not hold" in said and "others.pem" in said

    # Any bit of header or state, the lease id and the sequence among them.
    image = (tmp_path / "a.img").read_bytes()
    (tmp_path / "old.img").write_bytes(image)
    (tmp_path / "old.img.sig").write_bytes((tmp_path / "a.img.sig").read_bytes())
    signature = (tmp_path / "a.img.sig").read_bytes()
    (tmp_path / "a.img.sig").write_bytes(signature[:-1])
    edgeckpt("verify", "a.img", *key, code=EXIT["unproved"])
    (tmp_path / "state.json").write_text("[1,2,3]")
    edgeckpt("make", "state.json", "made.img", "--schema", "[u8;3]", "--sequence", 3)
    words = ("verify", "made.img", *key, "--signature", "old.img.sig")
    assert "does not hold" in edgeckpt(*words, code=EXIT["unproved"]).err

    # It goes back to its own board, while it is the newest there; then only where asked.
    edgeckpt("restore", *port, "old.img", *key)
    said = edgeckpt("restore", *port, "old.img", *key, code=EXIT["refused"]).err
    assert "older than the board's, 4" in said and "--allow-older" in said
    edgeckpt("restore", *port, "old.img", *key, "--allow-older")
    edgeckpt("restore", *elsewhere, "old.img", *key, code=EXIT["lease"])
    edgeckpt("restore", *elsewhere, "made.img", *key, code=EXIT["unproved"])

    # Keys that are none.
    wrong = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "wrong.pem").write_bytes(
        wrong.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    )
    for name in ("wrong.pem", "public.pem", "a.img", "none.pem"):
        assert name in edgeckpt("sign", "a.img", "--key", name, code=EXIT["file"]).err


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from edgeckpt_host.errors import HostError
    from edgeckpt_host.sign import _key

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(HostError, match="package cryptography") as e:
        _key(tmp_path / "key.pem", private=True)
    assert "edgeckpt[sign]" in e.value.hint
