//! `urva findings list` and `group`.

use super::row::Row;
use super::select;
use crate::cli::{Format, Globals, GroupArgs, ListArgs, ListFormat};
use crate::table::{Column, table};
use crate::{card, clock, output};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write;
use store::{Group, Grouping, Listing, Order, Store, Stored};

/// The most findings or groups that are asked for at a time.
const PAGE: u32 = 1_000;

const COLUMNS: [Column<'_>; 8] = [
    Column::text("LAST SEEN"),
    Column::number("COUNT"),
    Column::cut("CATEGORY", 25),
    Column::cut("CONTAINER", 16),
    Column::cut("SCRIPT", 16),
    Column::number("SCORE"),
    Column::text("STATE"),
    Column::text("ID"),
];

pub(super) async fn list(args: &ListArgs, globals: &Globals) -> Result<()> {
    let mut listing = Listing {
        source: None,
        filter: select::filter(&args.which, clock::now())?,
        order: Order::parse(args.order_by.as_deref().unwrap_or_default()).context("--order-by")?,
        limit: 0,
        token: None,
        with_contents: true,
    };
    let store = Store::open_read_only(globals.database()).await?;
    let mut out = Writer::begin(args.format)?;
    let mut left = args.limit;
    while left > 0 {
        listing.limit = left.min(PAGE);
        let page = store.list(&listing).await?;
        left = left.saturating_sub(u32::try_from(page.findings.len()).unwrap_or(u32::MAX));
        for stored in &page.findings {
            out.write(stored)?;
        }
        if page.next.is_none() {
            break;
        }
        listing.token = page.next;
    }
    out.end()
}

/// The finding and its resource, as the protocol lists them.
pub(super) fn result(stored: &Stored) -> Value {
    json!({"finding": stored.document, "resource": stored.resource})
}

/// Writes findings as they come. Only a table waits for the last one.
enum Writer {
    Text(Vec<Vec<String>>),
    Json { is_first: bool },
    Jsonl,
    Csv(Box<csv::Writer<std::io::StdoutLock<'static>>>),
}

impl Writer {
    fn begin(format: ListFormat) -> Result<Self> {
        Ok(match format {
            ListFormat::Text => Self::Text(Vec::new()),
            ListFormat::Json => Self::Json { is_first: true },
            ListFormat::Jsonl => Self::Jsonl,
            ListFormat::Csv => {
                let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
                writer.write_record(CSV_TITLES)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    fn write(&mut self, stored: &Stored) -> Result<()> {
        let mut out = std::io::stdout();
        match self {
            Self::Text(rows) => rows.push(cells(&Row::of(stored))),
            Self::Json { is_first } => {
                out.write_all(if *is_first { b"[\n" } else { b",\n" })?;
                output::write_json(&mut out, &result(stored))?;
                *is_first = false;
            }
            Self::Jsonl => output::write_json_line(&mut out, &result(stored))?,
            Self::Csv(writer) => writer.write_record(csv_cells(stored))?,
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Text(rows) => {
                let text = table(&COLUMNS, &rows, output::width(), "No findings.");
                anstream::stdout().lock().write_all(text.as_bytes())?;
            }
            Self::Json { is_first } => {
                std::io::stdout().write_all(if is_first { b"[]\n" } else { b"]\n" })?;
            }
            Self::Jsonl => {}
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}

fn cells(row: &Row<'_>) -> Vec<String> {
    vec![
        row.last_seen(),
        row.count(),
        card::shown_text(row.text("category")),
        row.location(),
        row.subject(),
        row.score().unwrap_or_else(|| "-".to_owned()),
        row.state().to_owned(),
        row.id(),
    ]
}

const CSV_TITLES: [&str; 18] = [
    "name",
    "category",
    "severity",
    "state",
    "mute",
    "event_time",
    "create_time",
    "count",
    "score",
    "node",
    "namespace",
    "pod",
    "container",
    "image",
    "script",
    "sha256",
    "resource_name",
    "description",
];

/// The same facts for a spreadsheet, which takes a cell that begins with one of these for a formula.
fn csv_cells(stored: &Stored) -> [String; 18] {
    let row = Row::of(stored);
    let text = |field: &str| card::shown_text(row.text(field));
    let property = |name: &str| row.property(name).map(card::shown_text).unwrap_or_default();
    let cells = [
        text("name"),
        text("category"),
        text("severity"),
        text("state"),
        text("mute"),
        text("eventTime"),
        text("createTime"),
        row.count(),
        row.score().unwrap_or_default(),
        property("VM_Instance_Name"),
        property("Pod_Namespace"),
        property("Pod_Name"),
        property("Container_Name"),
        property("Container_Image_Uri"),
        row.subject(),
        property("Script_Captured_SHA256"),
        text("resourceName"),
        text("description"),
    ];
    cells.map(|cell| if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell })
}

pub(super) async fn group(args: &GroupArgs, globals: &Globals) -> Result<()> {
    let filter = select::filter(&args.which, clock::now())?;
    let by = Grouping::parse(&args.by).context("the fields to group by")?;
    let store = Store::open_read_only(globals.database()).await?;
    let (mut groups, mut token) = (Vec::new(), None);
    loop {
        let page = store.group(None, &filter, &by, PAGE, token.as_deref()).await?;
        groups.extend(page.groups);
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    match args.format {
        Format::Json => {
            let groups: Vec<Value> = groups
                .into_iter()
                .map(|group| {
                    json!({"properties": Value::Object(group.properties.into_iter().collect()), "count": group.count.to_string()})
                })
                .collect();
            output::write_json(&mut std::io::stdout().lock(), &groups)?;
        }
        Format::Text => {
            let row = |group: &Group| {
                let values = group.properties.iter().map(|(_, value)| shown(value));
                std::iter::once(group.count.to_string()).chain(values).collect()
            };
            let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
            let names: Vec<String> = groups
                .first()
                .into_iter()
                .flat_map(|group| &group.properties)
                .map(|(name, _)| name.clone())
                .collect();
            let fields = names.iter().map(|name| Column::cut(name, 16));
            let columns: Vec<Column<'_>> =
                std::iter::once(Column::number("FINDINGS")).chain(fields).collect();
            let text = table(&columns, &rows, output::width(), "No findings.");
            anstream::stdout().lock().write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

/// A value that findings were grouped by.
fn shown(value: &Value) -> String {
    match value.as_str() {
        Some("") => "-".to_owned(),
        Some(text) => card::shown_text(text),
        None => card::shown_text(&value.to_string()),
    }
}
