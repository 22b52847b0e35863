"""What the tools' judges share: going through a folder, timing each verdict, and writing one line for each script.

A judge has no network: what a tool wants to fetch when it starts, it goes without. A script lies at `NUMBER/package/NAME`, as it would in a package. A line is `{"number", "points", "seconds"}`. Files are read as data. A tool that fails on a file has not flagged it; the
failure is counted on standard error. A judge stops at its time limit, and `run` refuses a table that lacks files.
"""

import json
import pathlib
import sys
import time


def refuse_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError("a judge has no network")


sys.addaudithook(refuse_network)


def run(arguments, judge):
    folder, limit = pathlib.Path(arguments[1]), float(arguments[2])
    began, failures = time.monotonic(), 0
    for path in sorted(folder.glob("*/package/*")):
        start = time.perf_counter()
        if time.monotonic() - began > limit:
            raise SystemExit(f"the time limit of {limit:.0f} s was reached")
        try:
            points = judge(path)
        except Exception as error:
            points, failures = [], failures + 1
            print(f"{path.parts[-3]}: {type(error).__name__}", file=sys.stderr)
        seconds = time.perf_counter() - start
        print(json.dumps({"number": int(path.parts[-3]), "points": points, "seconds": seconds}), flush=True)
    if failures:
        print(f"{failures} files could not be judged", file=sys.stderr)
