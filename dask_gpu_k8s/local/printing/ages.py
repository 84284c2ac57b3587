"""How kubectl shows a span of time: ``45s``, ``4m13s``, ``3h20m``, ``5d``."""

from __future__ import annotations

from datetime import datetime, timezone


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time.

    Raises
    ------
    ValueError
        If it is none.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def age(since: str | None, now: datetime) -> str:
    """Show how long ago a time was."""
    if not since:
        return "<unknown>"
    try:
        moment = parse_time(since)
    except ValueError:
        return "<invalid>"
    return span(int((now - moment).total_seconds()))


def span(seconds: int) -> str:
    """Show a number of seconds with two units at most, the finer one only while it matters."""
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"
