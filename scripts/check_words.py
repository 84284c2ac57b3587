"""Rules of the house that no linter knows: where a word may stand.

``python scripts/check_words.py`` exits with 1 and names each place that breaks one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "dask_gpu_k8s"

RULES = [
    # (what must not stand, where, why)
    (r"dask\.org", "local/**/*.py", "the embedded Kubernetes knows no Dask"),
    (r"dask\.org/", "{cluster,operator,kube}/**/*.py", "label keys are written once, in api/labels.py"),
    (
        r"kubernetes_asyncio\.(watch|stream|leaderelection|dynamic)",
        "**/*.py",
        "docs/architecture says why not",
    ),
]


def files(pattern: str) -> list[Path]:
    """Expand one `{a,b}` in a glob pattern."""
    match = re.match(r"\{(.*?)\}(.*)", pattern)
    heads = [head + match.group(2) for head in match.group(1).split(",")] if match else [pattern]
    return sorted(path for head in heads for path in PACKAGE.glob(head))


def main() -> int:
    """Print every line that breaks a rule, and count them into the exit code."""
    broken = [
        f"{path.relative_to(PACKAGE.parent)}:{number}: {why}: {line.strip()}"
        for word, where, why in RULES
        for path in files(where)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(word, line)
    ]
    print("\n".join(broken) or "every word stands where it may")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
