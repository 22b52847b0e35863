//! What can be said on the command line.

use crate::config::{Age, Config};
use crate::run::Role;
use crate::scan::ScanArgs;
use crate::train::{EvalArgs, TrainArgs};
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use evidence::Category;
use std::path::PathBuf;

/// The database's name in the state folder.
pub(crate) const DATABASE: &str = "urva.db";

/// Exit code where the command could not be carried out.
pub(crate) const ERROR: u8 = 2;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  urva run                                   watch this host
  urva status                                whether it watches, what it has seen and missed
  urva findings list --since 1h              what was found in the last hour
  urva findings list --namespace shop        what was found in one namespace
  urva findings show 3fa9                    all about the finding whose id begins with 3fa9
  urva findings show 3fa9 --format json      the same as Security Command Center JSON
  urva findings close 3fa9                   it is dealt with; also mute, reopen and mark
  urva mute-rules preview --namespace ci     what such a rule would hide
  urva audit                                 who changed what
  urva scan image.tar                        judge the scripts in an image, an archive or a folder
  urva train corpus/ --output my.model       a model of your own
  urva eval corpus/ --split source           what such a model does on sources that it has not met
  urva tokens create dashboard --role viewer  a token for the API
  urva backup copy.db                        a copy of the database while urva runs; urva restore puts it back
  urva outputs test                          whether alerts arrive where the config sends them
  urva doctor                                what works on this host, and what does not
  urva config check                          whether the config file is right

Exit codes: 0 clean, 1 malicious found or action refused, 2 error.";

const RULE_EXAMPLES: &str = "\
Examples:
  urva mute-rules preview --namespace ci                        what such a rule would have muted in the last 30 days
  urva mute-rules create backup --script 9aee5aa2… --expires 90d  one script, by the SHA-256 of its text
  urva mute-rules create builds --workload ci/runner --description 'builds what users upload'
  urva mute-rules delete backup                                 what it muted is open again";

const CHANGE_EXAMPLES: &str = "\
Examples:
  urva findings close 3fa9 77c0
  urva findings mute --namespace ci --filter 'processes.script.sha256 = \"9aee…\"'

The audit trail keeps who did it: urva audit";

const BACKUP_EXAMPLES: &str = "\
Examples:
  urva backup /backup/urva-$(date +%F).db
  urva backup copy.db --database /mnt/old/urva.db

The file must be new. It is for its owner alone, and read through before it has its name. A database of PostgreSQL is copied by
`pg_dump --schema=urva`.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  systemctl stop urva && urva restore /backup/urva-2026-11-22.db && systemctl start urva
  urva restore copy.db --state /tmp/look && urva findings list --state /tmp/look";

/// Catches malicious Python and shell scripts as they run in containers.
#[derive(Debug, Parser)]
#[command(name = "urva", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Config file [default: /etc/urva/urva.toml if it exists]
    #[arg(long, global = true, env = "URVA_CONFIG", value_name = "FILE", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// State folder, which holds the database
    #[arg(
        long,
        global = true,
        env = "URVA_STATE",
        value_name = "DIR",
        default_value = "/var/lib/urva",
        hide_env_values = true
    )]
    pub(crate) state: PathBuf,
}

impl Globals {
    /// The config that the options name.
    pub(crate) fn load_config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }

    /// The database in the state folder.
    pub(crate) fn database(&self) -> PathBuf {
        self.state.join(DATABASE)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch this host and report malicious scripts in its containers
    Run(RunArgs),
    /// One of the processes that `urva run` starts
    #[command(hide = true)]
    Process(ProcessArgs),
    /// Say whether urva watches, what it has seen and what it has missed; 2 where it does not watch
    Status(StatusArgs),
    /// List, count and show findings; mute, close and mark them
    #[command(subcommand)]
    Findings(FindingsCommand),
    /// Make, preview and remove rules that mute findings, such as known false positives
    #[command(subcommand, after_help = RULE_EXAMPLES)]
    MuteRules(MuteRulesCommand),
    /// Say who changed what, the newest change first
    Audit(AuditArgs),
    /// Make, list and revoke tokens of the API
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Copy the database to a file, while urva runs or not
    #[command(after_help = BACKUP_EXAMPLES, arg_required_else_help = true)]
    Backup(BackupArgs),
    /// Put a copy that `backup` made in the place of the database, which is kept beside it; not while urva runs
    #[command(after_help = RESTORE_EXAMPLES, arg_required_else_help = true)]
    Restore(RestoreArgs),
    /// Say how far outputs are, try them, and see to what could not be delivered
    #[command(subcommand)]
    Outputs(OutputsCommand),
    /// Judge the scripts in files, folders, archives, container images and corpora
    Scan(ScanArgs),
    /// Train a model on a corpus and measure it on texts that it has not seen
    Train(TrainArgs),
    /// Measure what `train` would make of a corpus, or a finished model, on texts that it has not seen
    Eval(Box<EvalArgs>),
    /// Say what works on this host and what does not, and what to do; 2 where urva cannot run
    Doctor(DoctorArgs),
    /// Check and explain the config
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// How to write findings as they are recorded
    #[arg(long, value_enum, default_value_t = RunFormat::Text)]
    format: RunFormat,
    /// Write no findings; they are in the store all the same
    #[arg(long, short, conflicts_with = "format")]
    quiet: bool,
}

impl RunArgs {
    /// What both options together ask for.
    pub(crate) fn chosen_format(&self) -> RunFormat {
        if self.quiet { RunFormat::Quiet } else { self.format }
    }
}

/// How `urva run` writes findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// A card for each new finding, a line for each further execution
    Text,
    /// One line of Security Command Center JSON each
    Json,
    /// Nothing
    #[value(hide = true)]
    Quiet,
}

/// What the supervisor tells the processes that it starts.
#[derive(Debug, Args)]
pub(crate) struct ProcessArgs {
    #[arg(value_enum)]
    pub(crate) role: Role,
    #[arg(long, value_enum)]
    pub(crate) format: RunFormat,
    /// Nanoseconds since the epoch
    #[arg(long, requires = "because")]
    pub(crate) gone_since: Option<u64>,
    #[arg(long)]
    pub(crate) because: Option<String>,
    /// How often the server was started again
    #[arg(long, default_value_t = 0)]
    pub(crate) restarts: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FindingsCommand {
    /// List findings, those that were executed last first
    List(ListArgs),
    /// Count findings by fields that they have in common
    #[command(
        after_help = "Example: urva findings group category,severity --since 7d",
        arg_required_else_help = true
    )]
    Group(GroupArgs),
    /// Show one finding: what ran, why it is malicious, where, what to do, and what was done
    Show(ShowArgs),
    /// Mute findings: they are known, and need nobody's attention
    #[command(after_help = CHANGE_EXAMPLES)]
    Mute(ChangeArgs),
    /// Take muting back; no rule mutes them again
    Unmute(ChangeArgs),
    /// Close findings: they are dealt with
    #[command(after_help = CHANGE_EXAMPLES)]
    Close(ChangeArgs),
    /// Open closed findings again
    Reopen(ChangeArgs),
    /// Set and remove security marks
    #[command(after_help = "Example: urva findings mark 3fa9 --set owner=anna --remove triage")]
    Mark(MarkArgs),
    /// Write all that a database holds, to move it into another one
    Export(ExportArgs),
    /// Read what export wrote into a database that is new
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where to write it; standard output where it is left out
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Another database than that of the state folder: a path, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) database: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What to read; standard input where it is left out
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Another database than that of the state folder: a path, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) database: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to write the copy
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Another database than that of the state folder
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) database: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The copy; it stays
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Make a token and write it to standard output, this once
    Create(CreateTokenArgs),
    /// List all tokens, those that are worth nothing any more too
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Revoke a token: it opens nothing from now on
    Revoke {
        /// Its number in `urva tokens list`
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OutputsCommand {
    /// List outputs: what waits, what was delivered, what went wrong
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Send a finding that says of itself that it is a test, past what waits; 1 where an output does not take it
    Test {
        /// The output; all where it is left out
        name: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Dead letters: what an output refused, or what was tried for too long
    #[command(subcommand)]
    Dead(DeadCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead letters, the oldest first
    List {
        /// Only this output's
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show one with its finding, as JSON
    Show {
        /// Its number in the list
        id: u64,
    },
    /// Send dead letters again
    Retry(WhichDead),
    /// Throw dead letters away
    Drop(WhichDead),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichDead {
    /// The number of one in the list
    pub(crate) id: Option<u64>,
    /// All of this output
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// What the token is for, for the list and the audit trail
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// What may be done with it: viewer reads; analyst works on findings; responder mutes many, and by rules; admin everything
    #[arg(long)]
    pub(crate) role: server::token::Role,
    /// How long it lasts: a duration such as 12h or 90d
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = age)]
    pub(crate) expires: Age,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to write it; prometheus is Prometheus' text format, for a textfile collector
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub(crate) format: StatusFormat,
}

/// As [`Format`], and for Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    Text,
    Json,
    Prometheus,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How to write it; json and jsonl are Security Command Center JSON, csv is for spreadsheets (' stands before what they would
    /// take for a formula)
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) format: ListFormat,
    /// The most findings to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// By which fields to sort, such as "severity, event_time desc" [default: what was executed last first]
    #[arg(long, value_name = "FIELDS")]
    pub(crate) order_by: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which findings a command is about.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    /// Only what this filter lets through: the language of Security Command Center, such as 'severity = "HIGH"'
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Only what was executed since then: a duration such as 90m, 12h or 7d, or a time such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only this category
    #[arg(long, value_enum)]
    pub(crate) category: Option<CategoryName>,
    /// Only this namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Only this Pod
    #[arg(long, value_name = "NAME")]
    pub(crate) pod: Option<String>,
    /// Only this container, by its name or its id, of which 12 digits do
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) container: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// The fields, with commas between them
    #[arg(value_name = "FIELDS")]
    pub(crate) by: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Ids of findings, or the beginnings of them
    #[arg(value_name = "ID", value_parser = finding_id)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Do not ask before many findings are changed
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    #[command(flatten)]
    pub(crate) which: ChangeArgs,
    /// A mark to set
    #[arg(long, value_name = "KEY=VALUE", value_parser = mark)]
    pub(crate) set: Vec<(String, String)>,
    /// A mark to take away
    #[arg(long, value_name = "KEY", required_unless_present = "set")]
    pub(crate) remove: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MuteRulesCommand {
    /// List all rules
    List {
        /// How to write it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show a rule, and what it would have muted in the last 30 days
    Show {
        /// The rule's id
        id: String,
        /// How to write it; json is Security Command Center JSON
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Say what a rule would have muted in the last 30 days, and change nothing
    Preview(PreviewRuleArgs),
    /// Make a rule; asks before it is in force, and twice where it hides CRITICAL findings of several namespaces
    Create(CreateRuleArgs),
    /// Change a rule; asks as create does where its filter changes
    Update(UpdateRuleArgs),
    /// Remove a rule; what a dynamic one muted is open again
    Delete {
        /// The rule's id
        id: String,
    },
}

/// What a rule is about. Where more than one is given, all of them hold.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct RuleAbout {
    /// A filter in the language of Security Command Center
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// One script: the SHA-256 of its captured text, as `urva findings show` has it
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    pub(crate) script: Option<String>,
    /// One image, by its whole reference
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) image: Option<String>,
    /// One namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The Pods of one workload: those in its namespace that have its name and a dash in theirs
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = workload, conflicts_with = "namespace")]
    pub(crate) workload: Option<(String, String)>,
    /// One container, by its name
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewRuleArgs {
    #[command(flatten)]
    pub(crate) about: RuleAbout,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct CreateRuleArgs {
    /// The rule's id: lower case letters, digits and dashes
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) about: RuleAbout,
    /// Why the rule is there
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// A static rule: it mutes what is new from now on, and that stays muted when the rule is gone
    #[arg(long = "static", conflicts_with = "expires")]
    pub(crate) once: bool,
    /// When the rule ends, and what it muted is open again: a duration such as 90d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) expires: Option<Age>,
    /// Do not ask; twice where the rule hides CRITICAL findings of several namespaces
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) yes: u8,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, id = "changes", args = ["filter", "description", "expires"])]
pub(crate) struct UpdateRuleArgs {
    /// The rule's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// What it is about from now on
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Why the rule is there
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// When it ends: a duration such as 90d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) expires: Option<Age>,
    /// Do not ask; twice where the rule hides CRITICAL findings of several namespaces
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) yes: u8,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only what was done to this: findings/SOURCE/ID, muteConfigs/ID and the like
    #[arg(value_name = "OBJECT")]
    pub(crate) object: Option<String>,
    /// The most changes to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// How to write it
    #[arg(long, value_enum, default_value_t = LinesFormat::Text)]
    pub(crate) format: LinesFormat,
}

/// For people, or one JSON object on each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinesFormat {
    Text,
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The finding's id, or the beginning of it
    #[arg(value_name = "ID", value_parser = finding_id)]
    pub(crate) id: String,
    /// How to write it; json is Security Command Center JSON
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the config file is right, and where not
    Check,
    /// Write the config that is in force, defaults included, as TOML
    Show,
    /// Write the reference of all keys, as Markdown
    Reference,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// As [`Format`], one JSON object on each line, and comma-separated values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Text,
    Json,
    Jsonl,
    Csv,
}

/// Categories by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CategoryName {
    /// Execution: Malicious Python executed
    #[value(alias = "MALICIOUS_PYTHON_EXECUTED")]
    Python,
    /// Malicious Script Executed
    #[value(alias = "MALICIOUS_SCRIPT_EXECUTED")]
    Script,
    /// Defense Evasion: Detection Impaired
    #[value(alias = "DETECTION_IMPAIRED")]
    Impaired,
}

impl From<CategoryName> for Category {
    fn from(name: CategoryName) -> Self {
        match name {
            CategoryName::Python => Self::MaliciousPythonExecuted,
            CategoryName::Script => Self::MaliciousScriptExecuted,
            CategoryName::Impaired => Self::DetectionImpaired,
        }
    }
}

fn age(text: &str) -> Result<Age, &'static str> {
    Age::parse(text).ok_or("a duration is a number and s, m, h or d, such as 90d")
}

fn finding_id(text: &str) -> Result<String, &'static str> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let wanted = "an id is 1 to 32 letters and digits; `urva findings list` shows them";
    is_id.then(|| text.to_owned()).ok_or(wanted)
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned()).ok_or("a SHA-256 is 64 hexadecimal digits")
}

fn workload(text: &str) -> Result<(String, String), &'static str> {
    let (namespace, name) = text.split_once('/').ok_or("a workload is NAMESPACE/NAME")?;
    Ok((namespace.to_owned(), name.to_owned()))
}

fn mark(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a mark is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
