from __future__ import annotations

import pytest

from dask_gpu_k8s.kube.credentials import Fixed, Identity, TokenFile, basic, bearer
from dask_gpu_k8s.kube.errors import NoConfig


def test_headers():
    assert bearer(" token\n") == {"Authorization": "Bearer token"}
    assert basic("user", "pass") == {"Authorization": "Basic dXNlcjpwYXNz"}


async def test_fixed_credentials_cannot_be_renewed():
    identity = Identity(bearer("t"))
    credentials = Fixed(identity)
    assert await credentials.identity() is identity
    assert not credentials.expire(identity)


async def test_a_token_file_is_read_again_after_a_minute_or_a_refusal(tmp_path):
    path, now = tmp_path / "token", [0.0]
    credentials = TokenFile(path, clock=lambda: now[0])

    async def token():
        return (await credentials.identity()).headers["Authorization"]

    path.write_text("one\n")
    assert await token() == "Bearer one"
    path.write_text("two")
    now[0] = 59
    assert await token() == "Bearer one"
    now[0] = 60
    assert await token() == "Bearer two"
    path.write_text("three")
    refused = await credentials.identity()
    assert credentials.expire(refused)
    assert await token() == "Bearer three"
    path.write_text("four")
    assert credentials.expire(refused), "what a slower request was refused with has been replaced since"
    assert await token() == "Bearer three"


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read"), (" \n", "is empty")])
async def test_a_token_file_without_a_token(tmp_path, text, message):
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoConfig, match=message):
        await TokenFile(path).identity()
