"""The signature of a webhook, by the Standard Webhooks specification (https://www.standardwebhooks.com, version 1.0.0).

``webhook-id`` is the notice's key, ``webhook-timestamp`` is seconds since 1970, and ``webhook-signature`` is ``v1,`` and the
HMAC-SHA256, in base64, of ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def signature_headers(key: str, timestamp: int, body: bytes, secret: str | None) -> dict[str, str]:
    """Return the headers of a webhook; without a secret it is not signed.

    A secret that begins with ``whsec_`` is base64, as the specification has it; any other is taken as it stands. Raises
    :class:`ValueError` if it is no base64.
    """
    headers = {"webhook-id": key, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        digest = hmac.digest(_secret_bytes(secret), f"{key}.{timestamp}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _secret_bytes(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a secret that begins with {_PREFIX} must go on in base64") from None
