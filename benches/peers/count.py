"""Recall, false alarms and speed of each tool, as rows of a table.

Owns: counting and the table's form. Refuses: corpora and tools.
"""

import collections
import math

Row = collections.namedtuple("Row", "tool language found malicious alarms benign per_second")


def interval(hits, total):
    """The 95 % interval of a proportion, after Wilson (1927), as two numbers in 0..1."""
    if total == 0:
        return 0.0, 1.0
    z = 1.959964
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def row(tool, point, judgements, labels, language, seconds):
    """What a tool reaches at one of its operating points.

    `judgements` maps a text's number to the operating points at which the tool flags it, `labels` maps each number that
    was shown to "malicious" or "benign". A text without a judgement was not flagged: a tool that fails on a text does
    not find it.
    """
    numbers = {label: [n for n, of in labels.items() if of == label] for label in ("malicious", "benign")}
    flagged = {label: sum(point in judgements.get(n, ()) for n in found) for label, found in numbers.items()}
    per_second = len(labels) / seconds if seconds > 0 else 0.0
    return Row(
        f"{tool}, {point}", language, flagged["malicious"], len(numbers["malicious"]), flagged["benign"],
        len(numbers["benign"]), per_second,
    )


def at_rate(scores, labels, rate):
    """Recall at a false-positive rate: (found, alarms) at the lowest threshold with at most that share of alarms."""
    benign = sorted((scores[n] for n, label in labels.items() if label == "benign"), reverse=True)
    allowed = int(rate * len(benign))
    threshold = benign[allowed] if allowed < len(benign) else -1.0
    found = sum(1 for n, label in labels.items() if label == "malicious" and scores[n] > threshold)
    return found, sum(1 for score in benign if score > threshold)


def percent(hits, total):
    low, high = interval(hits, total)
    return f"{100 * hits / total:.2f} % ({100 * low:.2f}–{100 * high:.2f})" if total else "–"


def table(found):
    """The rows as Markdown; percentages with their 95 % intervals."""
    lines = [
        "| tool, operating point | language | recall | false alarms | scripts/s, one core |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        recall = f"{percent(row.found, row.malicious)} of {row.malicious}"
        alarms = f"{percent(row.alarms, row.benign)}: {row.alarms} of {row.benign}"
        speed = f"{row.per_second:,.0f}" if row.per_second >= 10 else f"{row.per_second:.1f}"
        lines.append(f"| {row.tool} | {row.language} | {recall} | {alarms} | {speed} |")
    return "\n".join(lines) + "\n"
