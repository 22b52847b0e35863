"""Which texts are held out, and which of them are shown to the tools.

Owns: the rule of the hold-out and the sample. Refuses: files and tools. Everything is decided by hashes of names, so that
the same corpus gives the same hold-out on every machine.
"""

import hashlib

# One cluster in so many is held out of a training file.
PARTS = 5
LANGUAGES = {"python": "python", "py": "python", "bash": "shell", "shell": "shell", "sh": "shell"}


def fraction(name):
    """A number in 0..1 that a name always has."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def is_held_out(file, record):
    """Whether a record of a corpus file is kept from training: all of a file `holdout_*`, else one cluster in five."""
    if file.startswith("holdout"):
        return True
    return fraction("hold out " + record["cluster"]) < 1 / PARTS


def shown(records, limits):
    """The records that the tools judge: one for each cluster, high confidence only, at most so many of a label.

    `records` are held out ones, `limits` gives the number for each label and language together, or None for all.
    Clusters are taken in the order of their hash, and so is the record of a cluster.
    """
    of_cluster = {}
    for record in records:
        if record["label_confidence"] == "high":
            key = (record["label"], record["cluster"])
            best = of_cluster.get(key)
            if best is None or record["sha256"] < best["sha256"]:
                of_cluster[key] = record
    taken = []
    for label, most in sorted(limits.items()):
        found = [record for (of, _), record in of_cluster.items() if of == label]
        found.sort(key=lambda record: fraction("show " + record["cluster"]))
        taken += found[:most]
    return taken
