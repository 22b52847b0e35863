//! A report as text for a terminal and as Markdown for a model card.

use super::table::Table;
use super::{Group, HardNegatives, LanguageReport, OperatingPoint, RecallAt, Report, Share, WorstError};
use crate::corpus::CorpusCounts;
use crate::robustness::Robustness;
use evidence::text::escape;
use std::fmt::{self, Write};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f, "")?;
        for language in &self.languages {
            writeln!(f, "\n{}", language.title())?;
            language.tables().iter().try_for_each(|table| table.text(f))?;
        }
        self.robustness_tables().iter().try_for_each(|table| table.text(f))
    }
}

impl Report {
    /// The same figures as Markdown, with headings of the third and fourth level.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_markdown(&mut page);
        page
    }

    fn write_markdown(&self, page: &mut String) -> fmt::Result {
        self.head(page, "- ")?;
        for language in &self.languages {
            writeln!(page, "\n### {}", language.title())?;
            language.tables().iter().try_for_each(|table| table.markdown(page))?;
        }
        if !self.robustness.is_empty() {
            writeln!(page, "\n### Robustness")?;
        }
        self.robustness_tables().iter().try_for_each(|table| table.markdown(page))?;
        writeln!(
            page,
            "\nShares are of clusters of near-duplicates. Intervals are of 95 %: by bootstrap over clusters (1,000 draws) for \
             recall at a fixed rate of false alarms, by Wilson's formula elsewhere."
        )
    }

    fn head(&self, out: &mut impl Write, bullet: &str) -> fmt::Result {
        let CorpusCounts { files, samples, kept, corrupt, no_script, clustered } = &self.corpus;
        writeln!(
            out,
            "{bullet}Corpus: {files} files, {samples} texts, {kept} kept after limiting each cluster"
        )?;
        if *clustered > 0 {
            writeln!(
                out,
                "{bullet}Clusters of {clustered} texts were computed: 0.7 of their 5-token shingles alike"
            )?;
        }
        if *no_script > 0 {
            writeln!(out, "{bullet}{no_script} files are neither Python nor shell and were left alone")?;
        }
        for (file, count) in corrupt {
            writeln!(out, "{bullet}{}: {count} unreadable ones passed over", escape(file.as_bytes()))?;
        }
        writeln!(out, "{bullet}Split: {}", self.split)?;
        if let Some(model) = &self.model {
            writeln!(out, "{bullet}Model: {model}")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(out, "{bullet}Warning: {warning}"))
    }

    fn robustness_tables(&self) -> Vec<Table> {
        let mut malicious = Table::new(
            "Malicious texts in disguise: recall at the malicious threshold",
            &["disguise", "language", "clusters", "plain", "disguised", "difference"],
        );
        let mut benign = Table::new(
            "Benign texts minified and packed: false alarms at the malicious threshold",
            &["change", "language", "clusters", "plain", "changed", "difference"],
        );
        for one in &self.robustness {
            let Robustness { disguise, language, clusters, plain, disguised, is_malicious } = one;
            let points = format!("{:+.1} points", (disguised - plain) * 100.0);
            let cells = [
                disguise.clone(),
                language.to_string(),
                clusters.to_string(),
                percent(*plain),
                percent(*disguised),
                points,
            ];
            if *is_malicious { malicious.row(cells) } else { benign.row(cells) }
        }
        [malicious, benign].into_iter().filter(|table| !table.is_empty()).collect()
    }
}

impl LanguageReport {
    fn title(&self) -> String {
        format!(
            "{}: {} malicious clusters (high confidence), {} benign",
            self.language, self.malicious_clusters, self.benign_clusters
        )
    }

    fn tables(&self) -> Vec<Table> {
        let tables = [
            self.recall_table(),
            self.threshold_table(),
            self.hard_table(),
            malicious_table("Recall by source, labels of all confidences", &self.by_source),
            benign_table("False alarms by source", &self.by_source),
            malicious_table("Recall by kind", &self.by_kind),
            benign_table("False alarms by kind", &self.by_kind),
            malicious_table("Recall by platform, told by marks in the text", &self.by_platform),
            benign_table("False alarms by platform", &self.by_platform),
            malicious_table(
                "Recall by confidence of the label; only high is in the figures above",
                &self.by_confidence,
            ),
            benign_table("False alarms by confidence of the label", &self.by_confidence),
            self.calibration_table(),
            error_table("Benign texts with the highest scores", &self.highest_benign),
            error_table("Malicious texts with the lowest scores", &self.lowest_malicious),
        ];
        tables.into_iter().filter(|table| !table.is_empty()).collect()
    }

    fn recall_table(&self) -> Table {
        let mut table =
            Table::new("Recall at fixed rates of false alarms", &["at most", "recall", "95 % interval"]);
        for RecallAt { false_alarm_rate, recall, low, high } in &self.recall {
            let at = format!("recall at {:.2} % false alarms", false_alarm_rate * 100.0);
            table.row([at, percent(*recall), format!("{} – {}", percent(*low), percent(*high))]);
        }
        table
    }

    fn threshold_table(&self) -> Table {
        let header = ["threshold", "score", "set for", "recall", "interval", "false alarms", "interval"];
        let mut table = Table::new(
            "Thresholds that these texts would set, and the rates of those in force, which other texts set",
            &header,
        );
        for OperatingPoint { label, wanted_rate, score, recall, false_alarms } in &self.thresholds {
            table.row([
                format!("{label:?}").to_lowercase(),
                format!("{score:.6}"),
                percent(*wanted_rate),
                percent(recall.share),
                ends(recall),
                percent(false_alarms.share),
                ends(false_alarms),
            ]);
        }
        table
    }

    fn hard_table(&self) -> Table {
        let header = ["harmless code", "clusters", "malicious", "interval", "suspicious or worse"];
        let mut table = Table::new("Hard negatives: called malicious though harmless", &header);
        for HardNegatives { name, malicious, suspicious } in &self.hard_negatives {
            table.row([
                name.clone(),
                malicious.clusters.to_string(),
                percent(malicious.share),
                ends(malicious),
                percent(suspicious.share),
            ]);
        }
        table
    }

    fn calibration_table(&self) -> Table {
        let title = format!(
            "Calibration, both labels weighed alike: Brier score {:.4}, expected error {:.4}",
            self.calibration.brier, self.calibration.expected_error
        );
        let mut table = Table::new(&title, &["score", "texts", "weight", "predicted", "observed"]);
        for bin in self.calibration.bins.iter().filter(|bin| bin.texts > 0) {
            table.row([
                format!("{:.1} – {:.1}", bin.from, bin.from + 0.1),
                bin.texts.to_string(),
                percent(bin.weight),
                format!("{:.4}", bin.predicted),
                format!("{:.4}", bin.observed),
            ]);
        }
        table
    }
}

fn malicious_table(title: &str, groups: &[Group]) -> Table {
    group_table(title, groups, |group| &group.recall)
}

fn benign_table(title: &str, groups: &[Group]) -> Table {
    group_table(title, groups, |group| &group.false_alarms)
}

fn group_table(title: &str, groups: &[Group], shares: impl Fn(&Group) -> &Vec<Share>) -> Table {
    let mut table =
        Table::new(title, &["at false alarms of at most", "clusters", "1 %", "0.1 %", "interval", "0.03 %"]);
    for group in groups {
        if let [one, tenth, least] = shares(group).as_slice() {
            table.row([
                group.name.clone(),
                one.clusters.to_string(),
                percent(one.share),
                percent(tenth.share),
                ends(tenth),
                percent(least.share),
            ]);
        }
    }
    table
}

fn error_table(title: &str, errors: &[WorstError]) -> Table {
    let mut table = Table::new(title, &["path", "file", "line", "id", "cluster", "score"]);
    for WorstError { file, line, id, path, cluster, score } in errors {
        let line = if *line == 0 { "–".to_owned() } else { line.to_string() };
        table.row([path.clone(), file.clone(), line, id.clone(), cluster.clone(), format!("{score:.6}")]);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn ends(share: &Share) -> String {
    format!("{:.2} – {:.2} %", share.low * 100.0, share.high * 100.0)
}
