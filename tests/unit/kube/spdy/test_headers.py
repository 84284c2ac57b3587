from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube.spdy.headers import (
    DICTIONARY,
    LARGEST_BLOCK,
    MOST_HEADERS,
    HeaderCompressor,
    HeaderDecompressor,
)
from dask_gpu_k8s.kube.websocket import ProtocolError

names = st.text(min_size=1, max_size=20).map(str.lower).filter(lambda name: name == name.lower())
blocks = st.dictionaries(names, st.text(max_size=50), max_size=6)


def compressed(plain: bytes) -> bytes:
    made = zlib.compressobj(zdict=DICTIONARY)
    return made.compress(plain) + made.flush(zlib.Z_SYNC_FLUSH)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def test_the_dictionary_is_the_one_that_the_protocol_names():
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@given(sent=st.lists(blocks, max_size=5))
def test_blocks_arrive_as_they_were_sent(sent):
    compressor, decompressor = HeaderCompressor(), HeaderDecompressor()
    assert [decompressor.decompress(compressor.compress(block)) for block in sent] == sent


def test_names_are_sent_in_lower_case():
    block = HeaderCompressor().compress({"streamType": "Data"})
    assert HeaderDecompressor().decompress(block) == {"streamtype": "Data"}


def test_blocks_of_a_tunnel_get_short():
    compressor = HeaderCompressor()
    sizes = [
        len(compressor.compress({"streamtype": "data", "port": "8786", "requestid": str(number)}))
        for number in range(50)
    ]
    assert sizes[0] < 80
    assert max(sizes[1:]) < 40


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"", "cut off"),
        (b"anything", "cannot be decompressed"),
        (compressed(b"\0\0\0\1" + text(b"name")), "cut off"),
        (compressed(b"\0\0\0\1\xff\xff\xff\xff" + b"name"), "cut off"),
        (compressed(b"\0\0\0\0more"), "goes on"),
        (compressed(struct.pack(">I", MOST_HEADERS + 1)), "has 1001 headers"),
        (compressed(b"\0\0\0\1" + text(b"streamType") + text(b"data")), "not in lower case: 'streamType'"),
        (compressed(b"\0\0\0\2" + 2 * (text(b"port") + text(b"1"))), "comes twice: 'port'"),
        (compressed(b"\0\0\0\1" + text(b"a") + text(bytes(LARGEST_BLOCK))), "larger than"),
    ],
)
def test_what_is_no_header_block_is_refused(block, why):
    with pytest.raises(ProtocolError, match=why):
        HeaderDecompressor().decompress(block)


def test_a_small_block_cannot_fill_the_memory():
    bomb = compressed(bytes(1 << 28))
    assert len(bomb) < 1 << 19
    with pytest.raises(ProtocolError, match="larger than"):
        HeaderDecompressor().decompress(bomb)
