"""``python -m tests.faults``: play every script with every fault at every call, and say what came of it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from tests.faults import clock


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--script", action="append", help="only this one; may be given several times")
    parser.add_argument("--kind", action="append", help="only this fault; may be given several times")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th, for a quick look")
    parser.add_argument("--fault", metavar="SCRIPT:CALL:FAULT:WHEN", help="one run alone, with its log")
    parser.add_argument("--lives", type=int, metavar="N", help="instead, N lives drawn by chance")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: cores)")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set must be the same each time.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    elapsed = time.perf_counter
    clock.install()
    if options.fault:
        return play_one(options.fault)
    logging.disable()
    begin = elapsed()
    if options.lives:
        from tests.faults.chance import play_by_chance

        play_by_chance(options.lives)
        print(f"{options.lives} lives by chance: all well")
        return 0
    code = play_all(options)
    print(f"in {elapsed() - begin:.0f} s")
    return code


def play_one(text: str) -> int:
    """Play one run and show what the operator did."""
    from tests.faults.campaign import Campaign, Injection

    injection = Injection.parse(text)
    campaign = Campaign(injection.script)
    logging.basicConfig(level="INFO", format="%(asctime)s %(name)s %(message)s", datefmt="%M:%S")
    verdict = campaign.judge(injection)
    print(f"{text} at {verdict.call!r}", "" if verdict.struck else "struck nothing", *verdict.wrong, sep="\n")
    print("did not converge" if verdict.wrong else "converged")
    return 1 if verdict.wrong else 0


def play_all(options: argparse.Namespace) -> int:
    """Play all runs; print a table, and how to repeat what went wrong."""
    import itertools

    from tests.faults.campaign import Campaign, Injection
    from tests.faults.scripts import SCRIPTS

    numbers = itertools.count()

    def chosen(injection: Injection) -> bool:
        if options.kind and injection.fault not in options.kind:
            return False
        return next(numbers) % options.every == 0

    print(f"{'script':<16}{'calls, faults, before or after':>32}{'converged':>12}{'not converged':>16}")
    total = failed = 0
    for script in options.script or SCRIPTS:
        verdicts = [verdict for verdict in Campaign(script).judge_all(options.jobs, chosen) if verdict.struck]
        wrong = [verdict for verdict in verdicts if verdict.wrong]
        total, failed = total + len(verdicts), failed + len(wrong)
        print(f"{script:<16}{len(verdicts):>32}{len(verdicts) - len(wrong):>12}{len(wrong):>16}", flush=True)
        for verdict in wrong:
            first = verdict.wrong[0].splitlines()[0]
            print(f"    --fault '{verdict.injection}'  ({verdict.call}): {first}", flush=True)
    print(f"{'together':<16}{total:>32}{total - failed:>12}{failed:>16}")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
