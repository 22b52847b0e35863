//! Every key of the config with its meaning, and the reference page that is written from them.
//! A test compares this table with the types, so that neither can hold a key that the other lacks.

use super::{Config, DEFAULT_PATH, OutputConfig};
use std::fmt::Write;

/// A section of the file.
pub(super) struct Section {
    pub(super) name: &'static str,
    about: &'static str,
    pub(super) keys: &'static [Key],
}

impl Section {
    /// As it stands in the file; of outputs there may be several.
    pub(super) fn heading(&self) -> String {
        if self.name == "outputs" { "[[outputs]]".to_owned() } else { format!("[{}]", self.name) }
    }
}

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What can stand there.
    kind: &'static str,
    about: &'static str,
    /// What holds where the key is not set, for keys without a default value.
    unset: &'static str,
}

const fn key(name: &'static str, kind: &'static str, about: &'static str) -> Key {
    Key { name, kind, about, unset: "" }
}

const fn optional(name: &'static str, kind: &'static str, unset: &'static str, about: &'static str) -> Key {
    Key { name, kind, about, unset }
}

pub(super) const SECTIONS: [Section; 9] = [
    Section {
        name: "place",
        about: "The place that is watched, for the names in findings. Nothing in it changes what is detected. \
                The texts may hold letters, digits and `._:-`; the display name may hold any printable character.",
        keys: &[
            key("project", "text", "Id of the project that the findings belong to."),
            key("project_number", "digits", "Number of the project, as it stands in full resource names."),
            optional("project_display_name", "text", "the project's id", "Name of the project for people."),
            optional(
                "organization",
                "digits",
                "none: names begin with the project",
                "Id of the organization.",
            ),
            optional(
                "folder",
                "digits",
                "none",
                "Id of the folder that the project lies in, for names in the API.",
            ),
            key("location", "text", "Region or zone of the cluster."),
            key("cluster", "text", "Name of the cluster."),
            optional("node", "text", "the host's name", "Name of this node; `VM_Instance_Name` in findings."),
        ],
    },
    Section {
        name: "capture",
        about: "What is captured.",
        keys: &[
            key(
                "host_processes",
                "true or false",
                "Whether scripts outside of containers are judged as well.",
            ),
            key(
                "content_limit",
                "size",
                "Up to this size a script is captured whole; of a larger one, so much of its beginning and its end together.",
            ),
            key(
                "environment_limit",
                "size",
                "How much of a process's environment is captured, at most 128 KiB; 0 for none.",
            ),
        ],
    },
    Section {
        name: "detector",
        about: "The process that judges.",
        keys: &[
            optional(
                "model",
                "path",
                "the built-in model",
                "File of the model that judges, as `urva train` writes it.",
            ),
            optional(
                "user",
                "user name or number",
                "`urva` if that user exists, else 61470",
                "The user as whom the detector runs. It needs no rights at all; root is refused.",
            ),
            optional(
                "malicious_threshold",
                "score above 0, at most 1",
                "the model's own, for each language",
                "At and above this score a script is malicious and becomes a finding. `urva doctor` shows the model's own \
                 and its measured rate of false alarms; `urva eval` measures others.",
            ),
            optional(
                "suspicious_threshold",
                "score above 0, at most 1",
                "the model's own, but never above `malicious_threshold`",
                "At and above this score a script that is not malicious is suspicious.",
            ),
        ],
    },
    Section {
        name: "hold",
        about: "Stopping a process in a container until the text that it is about to run is judged: script files, `-c`, \
                standard input, and texts that CPython and Bash compile at run time. A benign script starts some milliseconds later. What takes \
                too long to judge goes on unjudged, and is counted.",
        keys: &[
            key("enabled", "true or false", "Whether processes are held."),
            key(
                "action",
                "`\"kill\"`, `\"stop\"` or `\"report\"`",
                "What becomes of a process whose text is malicious: it is killed, stays stopped for somebody to look at, or goes on.",
            ),
            key("within_ms", "milliseconds", "How long a process waits for the verdict before it is let go."),
            key(
                "terminals",
                "true or false",
                "Whether processes with a controlling terminal are held as well; a shell with job control notices that they stop.",
            ),
        ],
    },
    Section {
        name: "findings",
        about: "What becomes of a malicious script. The two `report_` keys are Container Threat Detection's \
                `REPORT_CLI_ARGUMENTS` and `REPORT_ENVIRONMENT_VARIABLES`.",
        keys: &[
            key(
                "fold_window",
                "duration",
                "A script that runs again in the same container within this time updates its finding; 0 makes a new one each time.",
            ),
            key(
                "contents_limit",
                "size",
                "How much of a script's text stands in a finding's JSON. The store keeps all that was captured.",
            ),
            key(
                "report_cli_arguments",
                "true or false",
                "Whether findings hold the arguments. The text of `-c` is the script itself and stays.",
            ),
            key(
                "report_environment_variables",
                "true or false",
                "Whether findings hold environment variables.",
            ),
            key(
                "redact_secrets",
                "true or false",
                "Whether passwords, tokens and keys in arguments and environment are replaced before a finding is stored.",
            ),
        ],
    },
    Section {
        name: "retention",
        about: "When findings are thrown away. In each key 0 means never.",
        keys: &[
            key(
                "max_age",
                "duration",
                "How long a finding is kept after its last execution, and an entry of the audit trail.",
            ),
            key("max_findings", "number", "How many findings are kept, the newest."),
            key(
                "max_mebibytes",
                "number",
                "How much the findings may take in the database, with evidence and texts, in MiB; the oldest go first.",
            ),
        ],
    },
    Section {
        name: "runtimes",
        about: "Where container runtimes are asked for a container's name, image and Pod. What is not there is left out.",
        keys: &[
            key("cri_sockets", "list of paths", "Sockets of CRI runtimes: containerd, CRI-O."),
            key("docker_sockets", "list of paths", "Sockets that speak Docker's API: Docker, Podman."),
            key(
                "state_folders",
                "list of paths",
                "Folders in which runc or crun keeps a folder for each container; `*` stands for any one name. The first that knows a container is believed.",
            ),
        ],
    },
    Section {
        name: "server",
        about: "The API of Security Command Center, over REST and gRPC on one port. Each call needs a token, which `urva tokens create` \
                makes.",
        keys: &[
            key("enabled", "true or false", "Whether the API is served."),
            key(
                "listen",
                "address and port",
                "Where it is served. An address other than loopback needs `certificate` and `key`, and is served from when there is a token.",
            ),
            optional(
                "certificate",
                "path",
                "none: no TLS",
                "File of the certificate and those that signed it, as PEM, its own first. It is read when urva starts.",
            ),
            optional("key", "path", "none", "File of the certificate's private key, as PEM."),
            key("calls_per_second", "number above 0", "How often one token may call within a second."),
        ],
    },
    Section {
        name: "outputs",
        about: "Who is told of findings; one such section for each. [How](outputs.md), with an example of each kind. What is secret stands in files of \
                its own, which only root needs to read.",
        keys: &[
            key(
                "name",
                "1 to 63 of `a-z`, `0-9` and `-`",
                "The output's name, each once. What waits for an output is kept by it.",
            ),
            key(
                "kind",
                "`\"webhook\"`, `\"slack\"`, `\"email\"`, `\"syslog\"`, `\"file\"` or `\"otlp\"`",
                "What it is.",
            ),
            optional(
                "format",
                "`\"finding\"`, `\"scc\"`, `\"ocsf\"` or `\"ecs\"`",
                "`\"finding\"`",
                "Webhook and file: what is sent. `scc` is the notification of Security Command Center, which a webhook gets as Pub/Sub pushes it.",
            ),
            key(
                "filter",
                "filter",
                "Which findings it is told of, in the [filter language](filter.md); nothing means all.",
            ),
            optional(
                "topic",
                "`projects/PROJECT/topics/TOPIC`",
                "none",
                "With format `scc`: the output gets what notification configs of this Pub/Sub topic ask for, in the place of `filter`.",
            ),
            optional(
                "url",
                "address",
                "none",
                "Webhook and otlp: where to post. Redirects are not followed.",
            ),
            optional(
                "url_file",
                "path",
                "none",
                "Webhook and slack: file of the address, where whoever knows it may post.",
            ),
            optional(
                "secret_file",
                "path",
                "none: not signed",
                "Webhook: file of the key that signs, as text or `whsec_` and base64; at least 24 bytes.",
            ),
            optional(
                "token_file",
                "path",
                "none",
                "Webhook and otlp: file of a token that is sent as `Authorization: Bearer`.",
            ),
            optional(
                "ca_file",
                "path",
                "those that the host trusts",
                "File of the certificates that TLS trusts, as PEM.",
            ),
            optional(
                "address",
                "`udp://`, `tcp://` or `tls://` and `HOST:PORT`, or `unix:///PATH`",
                "none",
                "Syslog: where it goes.",
            ),
            optional(
                "server",
                "`smtps://`, `smtp+starttls://` or `smtp://` and `HOST:PORT`",
                "none",
                "E-mail: the server that takes it. `smtp://` is without TLS, and for no password.",
            ),
            optional("user", "text", "none: no login", "E-mail: the user at the server."),
            optional("password_file", "path", "none", "E-mail: file of the password."),
            optional("from", "address", "none", "E-mail: who it is from."),
            key("to", "list of addresses", "E-mail: who it is for."),
            optional(
                "path",
                "path",
                "none",
                "File: where. Its folder must be writable for the detector's user.",
            ),
            key(
                "max_size",
                "size of at least 1 MiB",
                "File: from which size on it is rotated to `PATH.1` and so on.",
            ),
            key("keep", "number up to 1000", "File: how many rotated files are kept."),
            key("timeout", "duration up to `5m`", "How long one try may take."),
            key("max_age", "duration", "How long something is tried before it becomes a dead letter."),
            key(
                "max_waiting",
                "number up to 1000000",
                "How many messages may wait. Where there are more, the oldest are lost, and counted.",
            ),
        ],
    },
];

/// The reference page, as Markdown.
pub(super) fn reference() -> anyhow::Result<String> {
    let mut defaults = toml::Table::try_from(Config::default())?;
    defaults.insert("outputs".to_owned(), toml::Value::try_from(OutputConfig::default())?);
    let mut page = format!(
        "# Configuration\n\n\
         <!-- Written by `urva config reference`; a test compares. -->\n\n\
         urva reads one TOML file: the one that `--config FILE` or `URVA_CONFIG` names, else `{DEFAULT_PATH}` if it \
         exists. Each key has a default, so that an empty file, or none, is a good one. A key that urva does not know \
         is an error. `urva config check` says whether a file is right, `urva config show` what is in force.\n\n\
         Durations are a number and `s`, `m`, `h` or `d` (`\"10m\"`). Sizes are a number of bytes, or a number with `B`, \
         `KiB` or `MiB` (`\"64 KiB\"`).\n"
    );
    for section in &SECTIONS {
        write!(page, "\n## `{}`\n\n{}\n\n", section.heading(), section.about)?;
        page += "| key | value | default | meaning |\n|---|---|---|---|\n";
        for key in section.keys {
            let default = match defaults.get(section.name).and_then(|section| section.get(key.name)) {
                Some(_) if key.name == "name" => "none".to_owned(),
                Some(value) => format!("`{value}`"),
                None => key.unset.to_owned(),
            };
            writeln!(page, "| `{}` | {} | {default} | {} |", key.name, key.kind, key.about)?;
        }
    }
    Ok(page)
}

/// The key of a section that is spelt most like `name`, if any is spelt nearly so.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}
