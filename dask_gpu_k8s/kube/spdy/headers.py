"""Header blocks: names and values, compressed with a dictionary, one zlib stream in each direction."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from dask_gpu_k8s.kube.websocket import ProtocolError

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie
keep-alive origin
"""

_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)

_LENGTH = struct.Struct(">I")


def _text(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


DICTIONARY = b"".join(_text(word.replace("_", " ").encode()) for word in _WORDS.split()) + _TAIL.encode()
"""The dictionary of SPDY/3, section 2.6.10.1: words with their lengths, then what is often in values."""

MOST_HEADERS = 1000
LARGEST_BLOCK = 1 << 20
"""Bytes of a block that has been decompressed."""

# A small window: header blocks of a tunnel are short and alike, and there may be many tunnels.
_WINDOW_BITS = 12
_MEMORY_LEVEL = 4


class HeaderCompressor:
    """Makes the header blocks of one direction of one tunnel."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(wbits=_WINDOW_BITS, memLevel=_MEMORY_LEVEL, zdict=DICTIONARY)

    def compress(self, headers: Mapping[str, str]) -> bytes:
        """Make a block. Blocks must be sent in the order in which they were made.

        Parameters
        ----------
        headers : mapping of str to str
            Names are sent in lower case: the other side ends the tunnel over any other.
        """
        parts = [_LENGTH.pack(len(headers))]
        for name, value in headers.items():
            parts += [_text(name.lower().encode()), _text(value.encode())]
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """Reads the header blocks of one direction of one tunnel."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def decompress(self, block: bytes) -> dict[str, str]:
        """Read a block.

        Raises
        ------
        ProtocolError
            If it is no header block, a very large one, or names a header in upper case or twice.
        """
        try:
            plain = self._zlib.decompress(block, LARGEST_BLOCK + 1)
        except zlib.error as error:
            raise ProtocolError(f"A header block cannot be decompressed: {error}") from error
        if len(plain) > LARGEST_BLOCK:
            raise ProtocolError(f"A header block is larger than {LARGEST_BLOCK} bytes.")
        reader = _Reader(plain)
        count = reader.number()
        if count > MOST_HEADERS:
            raise ProtocolError(f"A header block has {count} headers; {MOST_HEADERS} are allowed.")
        headers: dict[str, str] = {}
        for _ in range(count):
            name, value = reader.text(), reader.text()
            if name != name.lower():
                raise ProtocolError(f"The name of a header is not in lower case: {name[:100]!r}")
            if name in headers:
                raise ProtocolError(f"A header comes twice: {name[:100]!r}")
            headers[name] = value
        reader.finish()
        return headers


class _Reader:
    """Takes numbers and texts off a block."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        self._position = 0

    def _take(self, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        if self._position > len(self._plain):
            raise ProtocolError("A header block is cut off.")
        return self._plain[start : self._position]

    def number(self) -> int:
        return int.from_bytes(self._take(_LENGTH.size), "big")

    def text(self) -> str:
        return self._take(self.number()).decode("utf-8", "replace")

    def finish(self) -> None:
        if self._position != len(self._plain):
            raise ProtocolError("A header block goes on after its last header.")
