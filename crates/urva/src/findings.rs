//! `urva findings`: reads findings back from the store and shows them.

use crate::cli::{ExportArgs, FindingsCommand, Format, Globals, ImportArgs, ListArgs, ListFormat, ShowArgs};
use crate::config::{Age, Config};
use crate::{card, clock, output};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use evidence::{Finding, Timestamp, scc};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use store::{Page, Query, Store};
use unicode_width::UnicodeWidthStr;

/// Executions that are asked for to show the latest ones.
const EXECUTIONS_SHOWN: u32 = 10;

/// Digits of an id that a list shows; enough for any number of findings that a store keeps.
const ID_DIGITS: usize = 12;

const HEADER: Style = AnsiColor::Yellow.on_default().bold();

/// Carries out `urva findings …`.
pub(crate) fn run(command: &FindingsCommand, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    runtime.block_on(async {
        match command {
            FindingsCommand::List(args) => list(args, &config, globals).await,
            FindingsCommand::Show(args) => show(args, &config, globals).await,
            FindingsCommand::Export(args) => export(args, globals).await,
            FindingsCommand::Import(args) => import(args, &config, globals).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn export(args: &ExportArgs, globals: &Globals) -> Result<()> {
    let address = args.database.clone().unwrap_or_else(|| globals.database());
    let store = Store::open_read_only(address).await?;
    let rows = match &args.file {
        Some(file) => {
            // Texts of scripts, and hashes of tokens, are nobody else's business.
            let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            let created = created.with_context(|| format!("creating {}", file.display()))?;
            let mut out = BufWriter::new(created);
            let rows = store.export(&mut out).await?;
            out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
            rows
        }
        None => store.export(&mut BufWriter::new(std::io::stdout().lock())).await?,
    };
    anstream::eprintln!("urva: {rows} rows were exported");
    Ok(())
}

async fn import(args: &ImportArgs, config: &Config, globals: &Globals) -> Result<()> {
    let address = args.database.clone().unwrap_or_else(|| globals.database());
    let store = Store::open_in(address, config.site()).await?;
    let rows = match &args.file {
        Some(file) => {
            let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
            store.import(&mut BufReader::new(opened)).await?
        }
        None => store.import(&mut BufReader::new(std::io::stdin().lock())).await?,
    };
    store.close().await?;
    anstream::eprintln!("urva: {rows} rows were imported");
    Ok(())
}

async fn show(args: &ShowArgs, config: &Config, globals: &Globals) -> Result<()> {
    let store = Store::open_read_only(globals.database()).await?;
    let finding = store.get(&args.id).await?;
    let place = config.place();
    match args.format {
        Format::Text => {
            let executions = store.executions(&finding.id, EXECUTIONS_SHOWN).await?;
            let card = card::card(&finding, &executions, &place, output::width());
            anstream::stdout().lock().write_all(card.as_bytes())?;
        }
        Format::Json => {
            let result = scc::result(&finding, &place, config.limits());
            output::write_json(&mut std::io::stdout().lock(), &result)?;
        }
    }
    Ok(())
}

async fn list(args: &ListArgs, config: &Config, globals: &Globals) -> Result<()> {
    let since = args.since.as_deref().map(|text| time(text, clock::now())).transpose()?;
    let store = Store::open_read_only(globals.database()).await?;
    let mut rows = Vec::new();
    let mut out = std::io::stdout().lock();
    let mut is_first = true;
    let mut left = args.limit;
    let mut query = query(args, since);
    while left > 0 {
        query.limit = left;
        let Page { items, unreadable, next } = store.find(&query).await?;
        for id in unreadable {
            anstream::eprintln!(
                "urva: finding {id} cannot be read back: its row is damaged, others are not affected"
            );
        }
        left = left.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for finding in &items {
            match args.format {
                ListFormat::Text => rows.push(Row::of(finding)),
                ListFormat::Jsonl => output::write_json_line(&mut out, &json(finding, config))?,
                ListFormat::Json => {
                    out.write_all(if is_first { b"[\n" } else { b",\n" })?;
                    output::write_json(&mut out, &json(finding, config))?;
                }
            }
            is_first = false;
        }
        let Some(next) = next else { break };
        query.after = Some(next);
    }
    match args.format {
        ListFormat::Text => anstream::stdout().lock().write_all(table(&rows, output::width()).as_bytes())?,
        ListFormat::Json => out.write_all(if is_first { b"[]\n" } else { b"]\n" })?,
        ListFormat::Jsonl => {}
    }
    Ok(())
}

fn json(finding: &Finding, config: &Config) -> scc::ListFindingsResult {
    scc::result(finding, &config.place(), config.limits())
}

fn query(args: &ListArgs, since: Option<Timestamp>) -> Query {
    Query {
        category: args.category.map(Into::into),
        container: args.container.clone(),
        pod: args.pod.clone(),
        namespace: args.namespace.clone(),
        since,
        ..Query::default()
    }
}

/// A point in time, or the one that lies so long before `now`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Some(age) = Age::parse(text) {
        let passed = u64::try_from(age.duration().as_nanos()).unwrap_or(u64::MAX);
        return Ok(Timestamp(now.0.saturating_sub(passed)));
    }
    match Timestamp::parse(text) {
        Some(time) => Ok(time),
        None => bail!(
            "--since {text:?} is neither a duration nor a time: give 90m, 12h or 7d, or a time such as {}",
            card::seconds(now)
        ),
    }
}

/// What a list shows of a finding; escaped, not yet cut.
struct Row {
    last_seen: String,
    count: String,
    category: &'static str,
    location: String,
    script: String,
    score: String,
    id: String,
}

impl Row {
    fn of(finding: &Finding) -> Self {
        Self {
            last_seen: card::seconds(finding.last_seen),
            count: finding.count.to_string(),
            category: finding.category.display_name(),
            location: card::location(finding),
            script: card::subject(finding),
            score: card::score(finding).unwrap_or_else(|| "-".to_owned()),
            id: finding.id.as_str().chars().take(ID_DIGITS).collect(),
        }
    }

    fn cells(&self) -> [&str; 7] {
        [&self.last_seen, &self.count, self.category, &self.location, &self.script, &self.score, &self.id]
    }
}

const TITLES: [&str; 7] = ["LAST SEEN", "COUNT", "CATEGORY", "CONTAINER", "SCRIPT", "SCORE", "ID"];

/// Columns of the table that give way where the terminal is narrow, with what each keeps at least.
const FLEXIBLE: [(usize, usize); 2] = [(3, 16), (4, 16)];

/// The findings as a table of at most `width` columns where that can be.
fn table(rows: &[Row], width: usize) -> String {
    if rows.is_empty() {
        return "No findings.\n".to_owned();
    }
    let mut columns = TITLES.map(str::len);
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row.cells()) {
            *column = (*column).max(cell.width());
        }
    }
    shrink(&mut columns, width);
    let mut text = format!("{HEADER}{}{HEADER:#}\n", line(TITLES, &columns));
    for row in rows {
        text += &line(row.cells(), &columns);
        text.push('\n');
    }
    text
}

/// Takes what is too much from the wider of the flexible columns first.
fn shrink(columns: &mut [usize; 7], width: usize) {
    let mut excess = (columns.iter().sum::<usize>() + 2 * (columns.len() - 1)).saturating_sub(width);
    while excess > 0 {
        let widest =
            FLEXIBLE.iter().filter(|(at, least)| columns[*at] > *least).max_by_key(|(at, _)| columns[*at]);
        let Some((at, _)) = widest else { break };
        columns[*at] -= 1;
        excess -= 1;
    }
}

fn line(cells: [&str; 7], columns: &[usize; 7]) -> String {
    let mut text = String::new();
    for (at, (cell, column)) in cells.into_iter().zip(columns).enumerate() {
        let cell = card::fit(cell, *column);
        let space = " ".repeat(column.saturating_sub(cell.width()));
        // Numbers end at the same column.
        let (before, after) = if at == 1 || at == 5 { (space.as_str(), "") } else { ("", space.as_str()) };
        text += &format!("{}{before}{cell}{after}", if at == 0 { "" } else { "  " });
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(location: &str, script: &str) -> Row {
        Row {
            last_seen: "2026-11-21T12:00:00Z".to_owned(),
            count: "12".to_owned(),
            category: "Malicious Script Executed",
            location: location.to_owned(),
            script: script.to_owned(),
            score: "0.997".to_owned(),
            id: "0123456789ab".to_owned(),
        }
    }

    #[test]
    fn a_table_is_aligned_and_cut_to_its_width() {
        let rows = [
            row("shop/app-6f7c9d8b5-x2x4z/app", "/tmp/a-rather-long-name-of-a-script.py"),
            row("실행", "-c x"),
        ];
        let text = anstream::adapter::strip_str(&table(&rows, 120)).to_string();
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|line| line.width() <= 120), "{text}");
    }

    #[test]
    fn a_time_is_a_duration_or_a_point() {
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(time("1h", now).unwrap(), Timestamp::from_seconds(996_400));
        assert_eq!(time("30d", now).unwrap(), Timestamp(0), "before the epoch is the epoch");
        assert_eq!(time("1970-01-02T00:00:00Z", now).unwrap(), Timestamp::from_seconds(86_400));
        for text in ["", "yesterday", "-1h", "10"] {
            assert!(time(text, now).is_err(), "{text}");
        }
    }
}
