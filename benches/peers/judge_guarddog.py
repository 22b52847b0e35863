"""GuardDog's verdict on each file of a folder: its source rules and its risk score, as for a package of that one file.

Run by `run` with the interpreter that has guarddog. GuardDog compiles its rules anew for each package; here a compiled
rule is kept, so that it is not charged for that.
"""

import contextlib
import functools
import io
import logging
import sys

import judging
import yara

yara.compile = functools.lru_cache(maxsize=None)(yara.compile)
logging.disable(logging.CRITICAL)

# It prints that it could not fetch the lists of popular packages, which only its rules for names need.
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    from guarddog.analyzer import analyzer as guarddog

    guarddog.get_metadata_detectors = lambda ecosystem: {}
    analyzer = guarddog.Analyzer()


def judge(path):
    found = analyzer.analyze_sourcecode(str(path.parent.parent))
    score = analyzer.calculate_package_risk_score(found, {"results": {}, "errors": {}, "issues": 0})["score"]
    return [point for point, least in (("score 7 and above", 7), ("score 5 and above", 5)) if score >= least]


judging.run(sys.argv, judge)
