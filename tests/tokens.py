"""Tokens of service accounts that live as long as a test wants; an API server issues none under 600 s."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.e2e.node.components import ISSUER

LEEWAY = 60
"""Seconds for which an API server takes a token after its end, for clocks that differ."""


def signed(key: ec.EllipticCurvePrivateKey, namespace: str, account: dict[str, str], life: float) -> str:
    """Sign a token (RFC 7519) by ES256, as an API server does, that is taken for `life` seconds."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": f"system:serviceaccount:{namespace}:{account['name']}",
        "iat": now - LEEWAY,
        "nbf": now - LEEWAY,
        "exp": int(now + life - LEEWAY),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": account},
    }
    text = f"{_encoded(json.dumps({'alg': 'ES256'}).encode())}.{_encoded(json.dumps(claims).encode())}"
    numbers = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_encoded(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Unexpired:
    """All tokens that have not ended."""

    def __contains__(self, token: str) -> bool:
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return bool(time.time() < claims["exp"] + LEEWAY)
