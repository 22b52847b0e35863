"""Bandit's verdict on each Python file of a folder: whether an issue of high or medium severity and confidence is found.

Run by `run` with the interpreter that has bandit.
"""

import logging
import sys

import judging
from bandit.core import config, constants, manager

logging.disable(logging.CRITICAL)
settings = config.BanditConfig()


def judge(path):
    checks = manager.BanditManager(settings, "file")
    checks.discover_files([str(path)])
    checks.run_tests()
    levels = (("high severity and confidence", constants.HIGH), ("medium and above", constants.MEDIUM))
    return [point for point, level in levels if checks.get_issue_list(sev_level=level, conf_level=level)]


judging.run(sys.argv, judge)
