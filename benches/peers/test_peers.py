"""The hold-out and the counting: `python3 -m unittest discover benches/peers`. Needs nothing but Python."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import count  # noqa: E402
import holdout  # noqa: E402


def record(cluster, label="benign", sha256="0", confidence="high"):
    return {"cluster": cluster, "label": label, "sha256": sha256, "label_confidence": confidence}


class HoldOut(unittest.TestCase):
    def test_a_cluster_is_on_one_side_whatever_file_and_label(self):
        for number in range(200):
            sides = {holdout.is_held_out(file, record(f"c{number}", label)) for file in ("a", "b") for label in ("benign", "malicious")}
            self.assertEqual(len(sides), 1)

    def test_one_cluster_in_five_is_held_out(self):
        held = sum(holdout.is_held_out("ben_a", record(f"c{number}")) for number in range(10_000))
        self.assertAlmostEqual(held / 10_000, 0.2, delta=0.02)

    def test_the_rule_is_fixed(self):
        held = [number for number in range(20) if holdout.is_held_out("ben_a", record(f"c{number}"))]
        self.assertEqual(held, HELD_OF_TWENTY)

    def test_a_hold_out_file_is_held_out_whole(self):
        self.assertTrue(all(holdout.is_held_out("holdout_a.jsonl.zst", record(f"x{number}")) for number in range(100)))

    def test_one_text_of_a_cluster_is_shown_and_only_sure_labels(self):
        texts = [record("a", sha256="2"), record("a", sha256="1"), record("b", confidence="low"), record("a", "malicious")]
        shown = holdout.shown(texts, {"benign": None, "malicious": None})
        self.assertEqual([(r["cluster"], r["label"], r["sha256"]) for r in shown], [("a", "benign", "1"), ("a", "malicious", "0")])

    def test_a_smaller_limit_shows_a_part_of_what_a_larger_one_shows(self):
        texts = [record(f"c{number}") for number in range(50)]
        few, many = (holdout.shown(texts, {"benign": n}) for n in (5, 20))
        self.assertEqual(few, many[:5])


class Counting(unittest.TestCase):
    labels = {0: "malicious", 1: "malicious", 2: "benign", 3: "benign", 4: "benign"}

    def test_each_point_is_counted_by_itself(self):
        row = count.row("tool", "strict", {0: ["strict", "loose"], 1: ["loose"], 3: ["strict"]}, self.labels, "shell", 2.5)
        self.assertEqual(row, count.Row("tool, strict", "shell", 1, 2, 1, 3, 2.0))

    def test_a_text_without_a_judgement_is_not_flagged(self):
        self.assertEqual(count.row("tool", "strict", {}, self.labels, "python", 1).found, 0)

    def test_recall_at_a_rate_allows_no_more_alarms_than_the_rate(self):
        scores = {0: 0.9, 1: 0.4, 2: 0.5, 3: 0.1, 4: 0.1}
        self.assertEqual(count.at_rate(scores, self.labels, 0.0), (1, 0))
        self.assertEqual(count.at_rate(scores, self.labels, 0.34), (2, 1))

    def test_a_tie_at_the_threshold_counts_as_an_alarm_avoided(self):
        self.assertEqual(count.at_rate({0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 4: 0.0}, self.labels, 0.34), (0, 0))

    def test_the_interval_is_that_of_the_literature(self):
        low, high = count.interval(1, 10)
        self.assertAlmostEqual(low, 0.0179, places=4)
        self.assertAlmostEqual(high, 0.4042, places=4)
        self.assertEqual(count.interval(0, 0), (0.0, 1.0))

    def test_the_table_has_a_line_for_each_row(self):
        lines = count.table([count.row("tool", "strict", {0: ["strict"]}, self.labels, "python", 1)]).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(lines[2].startswith("| tool, strict | python | 50.00 % ("), lines[2])


HELD_OF_TWENTY = [7, 9, 11, 12, 13]

if __name__ == "__main__":
    unittest.main()
