"""A process that is leaving, with its thread pools already shut, can still speak to an API server."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
import sys
from base64 import b64encode

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .scripted import serve

PROGRAM = """
import asyncio, atexit, json, sys

@atexit.register
def leave():
    async def delete():
        async with KubeClient.connect(json.loads(sys.argv[1])) as kube:
            await kube.delete(POD, "p")
    asyncio.run(delete())
    print("deleted")

from concurrent.futures import ThreadPoolExecutor
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient

ThreadPoolExecutor().submit(int).result()
if "warm" in sys.argv:
    async def get():
        async with KubeClient.connect(json.loads(sys.argv[1])) as kube:
            await kube.get(POD, "p")
    asyncio.run(get())
"""


def certificate():
    """Make a self-signed certificate for 127.0.0.1 that serves for both sides; PEM of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("words", [(), ("warm",)])
async def test_a_request_from_an_exit_hook_registered_first(tmp_path, words):
    pem, key = certificate()
    (tmp_path / "cert").write_bytes(pem + key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert")
    tls.load_verify_locations(tmp_path / "cert")
    tls.verify_mode = ssl.CERT_REQUIRED
    seen = []

    async def handler(request):
        seen.append(request.method)
        return web.json_response({})

    async with serve(handler, tls) as config:
        config["clusters"][0]["cluster"]["certificate-authority-data"] = b64encode(pem).decode()
        config["users"][0]["user"] = {
            "client-certificate-data": b64encode(pem).decode(),
            "client-key-data": b64encode(key).decode(),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(config), *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    assert (out.decode(), err.decode()) == ("deleted\n", "")
    assert process.returncode == 0
    assert seen == ["GET", "DELETE"][not words :]
