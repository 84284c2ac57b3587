"""Lines out of a stream that comes in pieces of any size."""

from __future__ import annotations


class Lines:
    """Put a byte stream together again, line by line.

    A line may be megabytes long (one watch event is one line): pieces are only joined once its end
    has come, so that the cost stays linear.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the lines that are complete now, without their ends.

        Empty lines are left out.
        """
        if b"\n" not in data:
            if data:
                self._pieces.append(data)
            return []
        first, *middle, rest = data.split(b"\n")
        lines = [b"".join((*self._pieces, first)), *middle]
        self._pieces = [rest] if rest else []
        return [line for line in lines if line.strip()]

    def rest(self) -> bytes:
        """Return what came after the last line's end."""
        return b"".join(self._pieces)
