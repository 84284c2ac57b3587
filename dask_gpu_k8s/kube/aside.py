"""What takes long, done beside the event loop: reading files, loading modules, OpenSSL."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def aside(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a thread; in place where there is none, which is so in a process that is leaving.

    Parameters
    ----------
    function : callable
    *args
        For the function.
    """
    try:
        call = asyncio.get_running_loop().run_in_executor(None, function, *args)
    except RuntimeError:  # no new calls after shutdown, no new threads at shutdown
        return function(*args)
    return await call


async def imported(name: str) -> None:
    """Load a module, unless it is loaded already.

    Parameters
    ----------
    name : str
        Full name of the module.
    """
    if name not in sys.modules:
        await aside(importlib.import_module, name)
