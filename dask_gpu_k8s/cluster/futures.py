"""What a Client waits for, when it has lost its scheduler.

Seen in distributed 2025.2.0 and 2026.8.0, ``Client._reconnect``: in its event loop it cancels one future
after the other, then drops them all. If the user's thread submits another one meanwhile, either the iteration
fails, and with it the task that was to connect again, or the new future is dropped and nobody ever ends it.
Both leave a user waiting for good.
"""

from __future__ import annotations

from typing import Any


class Futures(dict[str, Any]):
    """States of a Client's futures by key, that one thread may add to while another gives all of them up."""

    def values(self) -> list[Any]:  # type: ignore[override]  # a copy, which nobody changes
        """Return the states that there are now."""
        return list(super().values())

    def clear(self) -> None:
        """Drop all of them; those that came too late to be cancelled are cancelled now."""
        while self:
            _, state = self.popitem()
            if state.status != "cancelled":
                state.cancel(reason="scheduler-connection-lost")
