"""YARA-X's verdict on each file of a folder, with GuardDog's source rules, the only ones for scripts in a registry.

Run by `run` with the interpreter that has both. A rule says of itself how severe and how specific it is; rules for
capabilities, which alone are harmless, do not count. A rule that YARA-X does not compile is named and left out.
"""

import importlib.util
import pathlib
import sys

import judging
import yara_x

HIGH = "a threat rule of high severity"
SPECIFIC = "one of high severity and specificity"


def compiled():
    # The package is found and not imported: it would look for lists of packages on the network.
    package = pathlib.Path(importlib.util.find_spec("guarddog").origin).parent
    folder = package / "analyzer" / "sourcecode"
    rules = yara_x.Compiler()
    rules.add_include_dir(str(folder))
    for path in sorted(folder.glob("threat-*.yar")):
        try:
            rules.add_source(path.read_text())
        except yara_x.CompileError as error:
            print(f"yara-x: {path.name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
    return rules.build()


scanner = yara_x.Scanner(compiled())
scanner.set_timeout(10)


def judge(path):
    points = set()
    for rule in scanner.scan(path.read_bytes()).matching_rules:
        meta = dict(rule.metadata)
        if meta.get("severity") == "high":
            points.add(HIGH)
            if meta.get("specificity") == "high":
                points.add(SPECIFIC)
    return sorted(points)


judging.run(sys.argv, judge)
