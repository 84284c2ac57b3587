"""Heavy modules, loaded beside the event loop."""

from __future__ import annotations

import asyncio
import importlib
import sys


async def imported(name: str) -> None:
    """Load a module in a thread, unless it is loaded already.

    Parameters
    ----------
    name : str
        Full name of the module.
    """
    if name not in sys.modules:
        await asyncio.to_thread(importlib.import_module, name)
