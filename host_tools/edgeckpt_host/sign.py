"""Signatures of images: Ed25519, in a file beside the image.

What is signed: a line that names this use, then the header block and the state. The header holds
lease id and sequence, so an image cannot pass for one of another lease or for a newer one. The
file is the signature alone, 64 bytes. Keys are PEM files, as `openssl genpkey -algorithm ed25519`
and `openssl pkey -pubout` write them.

Promises: nothing is signed that is not a sound checkpoint; `check()` returns only where the
signature holds. Needs the package `cryptography`, the extra `edgeckpt[sign]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeckpt.look import hex_id

from .errors import HostError
from .image import Image, read_file, write_file
from .results import Signed

_USE = b"edgeckpt image 1\n"


def write(image: Image, key: Path | str, signature: Path | str | None = None) -> Signed:
    """Sign `image` with the private key in the file `key`. HostError `usage`, `file`."""
    _signable(image)
    at = _beside(image, signature)
    write_file(at, _key(key, private=True).sign(_message(image)))
    h = image.header
    return Signed(image.source, str(at), hex_id(h.lease_id), h.sequence)


def check(image: Image, key: Path | str, signature: Path | str | None = None) -> None:
    """Whether `image` is signed by the owner of the public key. HostError `unproved`, `file`."""
    _signable(image)
    public = _key(key, private=False)
    from cryptography.exceptions import InvalidSignature

    at = _beside(image, signature)
    if not at.exists():
        raise HostError("unproved", f"{image.source}: not signed: there is no {at}")
    try:
        public.verify(read_file(at), _message(image))
    except InvalidSignature as e:
        raise HostError(
            "unproved", f"{image.source}: the signature in {at} does not hold by the key in {key}"
        ) from e


def _message(image: Image) -> bytes:
    return _USE + image.blocks[: image.block_size] + image.state


def _signable(image: Image) -> None:
    if not image.integrity:
        raise HostError(
            "unproved",
            f"{image.source}: a plain image has no lease id and no sequence to sign; expected a "
            "checkpoint",
        )


def _beside(image: Image, signature: Path | str | None) -> Path:
    if signature is not None:
        return Path(signature)
    if image.source == "-" or image.slot >= 0:
        raise HostError("usage", f"{image.source}: name the signature's file", "--signature FILE")
    return Path(image.source + ".sig")


def _key(path: Path | str, *, private: bool) -> Any:
    # Any: the types are those of an optional package.
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
        from cryptography.hazmat.primitives.serialization import (
            load_pem_private_key,
            load_pem_public_key,
        )
    except ImportError as e:
        raise HostError(
            "usage",
            f"signatures need the package cryptography ({e})",
            "pip install 'edgeckpt[sign]'",
        ) from e
    data = read_file(path)
    wanted = "private" if private else "public"
    try:
        key = load_pem_private_key(data, None) if private else load_pem_public_key(data)
    except (ValueError, TypeError) as e:
        raise HostError("file", f"{path}: no {wanted} key in PEM without a password: {e}") from e
    right = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    if not isinstance(key, right):
        raise HostError("file", f"{path}: {type(key).__name__}, expected an Ed25519 {wanted} key")
    return key
