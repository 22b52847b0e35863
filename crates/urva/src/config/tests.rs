//! Files as people write them, and what they are told.

use super::*;

const FILE: &str = "urva.toml";

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Config::parse(FILE, text).expect_err("a file that is wrong");
    assert_eq!(error.to_string(), format!("{FILE}, {expected}"));
}

#[test]
fn an_empty_file_is_all_defaults() {
    assert_eq!(Config::parse(FILE, "").unwrap(), Config::default());
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let mut config = Config::default();
    config.place.node = Some("node-1".to_owned());
    config.detector.model = Some(PathBuf::from("/srv/a model"));
    config.findings.fold_window = Age::minutes(90);
    config.detector = toml::from_str("malicious_threshold = 0.995\nsuspicious_threshold = 0.9").unwrap();
    for config in [config, Config::default()] {
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(FILE, &text).unwrap(), config, "{text}");
    }
}

#[test]
fn settings_are_taken_over() {
    let text = "[place]\nproject = 'shop'\n[capture]\ncontent_limit = 65536\n[findings]\nfold_window = '1h'\nredact_secrets = false\n";
    let config = Config::parse(FILE, text).unwrap();
    assert_eq!(config.place().project_display_name, "shop");
    assert_eq!(config.capture.content_limit, Size::kibibytes(64));
    assert_eq!(config.findings.fold_window, Age::minutes(60));
    assert!(!config.redaction().redact_secrets && config.redaction().report_arguments);
}

#[test]
fn zero_retention_keeps_everything() {
    let config = Config::parse(FILE, "[retention]\nmax_age = '0'\nmax_findings = 0").unwrap();
    assert_eq!(config.retention(), RetentionPolicy::default());
    assert!(Config::default().retention().max_age.is_some());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let end = "`urva config reference` lists all keys";
    refused(
        "[findings]\n\nfold_windw = '1m'\n",
        &format!("line 3: there is no key in [findings] named fold_windw; did you mean fold_window?; {end}"),
    );
    refused("[finding]\n", &format!("line 1: there is no section finding; did you mean [findings]?; {end}"));
    refused(
        "\nproject = 'x'",
        &format!("line 2: there is no key project; did you mean project in [place]?; {end}"),
    );
    refused(
        "[place]\nmax_age = '1d'",
        &format!(
            "line 2: there is no key in [place] named max_age; did you mean max_age in [retention]?; {end}"
        ),
    );
    refused(
        "[place]\n\"a\\u001b[2J\" = 1",
        &format!("line 2: there is no key in [place] named a\\u{{1b}}[2J; {end}"),
    );
    refused("capture.xyzzy = 1", &format!("line 1: there is no key in [capture] named xyzzy; {end}"));
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_key() {
    let score = "expected a score above 0 and at most 1, such as 0.99";
    refused(
        "[detector]\nmalicious_threshold = 1.5",
        &format!("line 2: detector.malicious_threshold: invalid value: floating point `1.5`, {score}"),
    );
    refused(
        "[detector]\nsuspicious_threshold = nan",
        &format!("line 2: detector.suspicious_threshold: invalid value: floating point `NaN`, {score}"),
    );
    refused(
        "[detector]\nmalicious_threshold = 0.5\nsuspicious_threshold = 0.6",
        "line 3: detector.suspicious_threshold: must not be above malicious_threshold",
    );
    refused(
        "[capture]\nhost_processes = 'no'",
        "line 2: capture.host_processes: invalid type: string \"no\", expected a boolean",
    );
    refused(
        "[findings]\n\nfold_window = 10",
        "line 3: findings.fold_window: invalid type: integer `10`, expected a duration of at most 100 years, such as \"90s\", \"10m\", \"12h\" or \"30d\"",
    );
    refused(
        "[capture]\ncontent_limit = '9 GiB'",
        "line 2: capture.content_limit: invalid value: string \"9 GiB\", expected a size of at most 1024 MiB, such as 4096, \"64 KiB\" or \"1 MiB\"",
    );
    refused("place = 3", "line 1: place: invalid type: integer `3`, expected struct PlaceConfig");
    refused(
        "[retention]\nmax_findings = -1",
        "line 2: retention.max_findings: invalid value: integer `-1`, expected u64",
    );
    refused(
        "[runtimes]\nstate_folders = ['/a', 3]",
        "line 2: runtimes.state_folders: invalid type: integer `3`, expected path string",
    );
}

#[test]
fn a_value_that_cannot_be_used_is_refused() {
    refused("[place]\ncluster = 'a/b'", "line 2: place.cluster: must be 1 to 253 letters, digits and `._:-`");
    refused(
        "[place]\nproject_number = 'shop'",
        "line 2: place.project_number: must be digits, between quotes",
    );
    refused(
        "[place]\nproject_display_name = \"a\\nb\"",
        "line 2: place.project_display_name: must be 1 to 253 printable characters",
    );
    refused(
        "[detector]\nuser = 'root'",
        "line 2: detector.user: must be a user other than root: the detector reads hostile text",
    );
    refused(
        "[capture]\ncontent_limit = 1",
        "line 2: capture.content_limit: must be 4 KiB to 8 MiB: less shows too little to judge, more takes too long",
    );
}

#[test]
fn an_api_beyond_this_host_needs_tls() {
    let detail = "line 2: server.listen: an address other than loopback needs certificate and key, for TLS";
    refused("[server]\nlisten = '0.0.0.0:8470'", detail);
    refused("[server]\nlisten = '[::]:8470'", detail);
    refused("[server]\nkey = '/k'", "line 2: server.key: certificate and key need each other");
    refused("[server]\nlisten = 'localhost'", "line 2: server.listen: invalid socket address syntax");
    let config = Config::parse(FILE, "[server]\nlisten = '[::1]:1'").expect("loopback");
    assert!(config.server.listen.ip().is_loopback());
    let remote = "[server]\nlisten = '10.0.0.1:443'\ncertificate = '/c'\nkey = '/k'";
    assert!(Config::parse(FILE, remote).is_ok());
}

#[test]
fn an_output_that_cannot_work_is_refused() {
    let output = |keys: &str| format!("[[outputs]]\nname = 'soc'\n{keys}\n");
    let check = |keys: &str, expected: &str| refused(&output(keys), expected);
    check("url = 'ftp://x'", "line 3: outputs.url: must begin with https:// or http://");
    check("kind = 'file'", "line 1: outputs.path: is needed by an output of this kind");
    check(
        "kind = 'slack'\nurl_file = '/u'\nformat = 'ecs'",
        "line 5: outputs.format: is no key of an output of this kind",
    );
    check("url = 'https://x'\nurl_file = '/u'", "line 3: outputs.url: one of url and url_file is needed");
    check(
        "url = 'https://x'\ntopic = 'projects/p/topics/t'",
        "line 4: outputs.topic: needs format = \"scc\", which notification configs send",
    );
    check(
        "kind = 'pager'",
        "line 3: outputs.kind: unknown variant `pager`, expected one of `webhook`, `slack`, `email`, `syslog`, `file`, `otlp`",
    );
    check(
        "url = 'https://x'\nurl_fil = 1",
        "line 4: there is no key in [[outputs]] named url_fil; did you mean url_file?; `urva config reference` lists all keys",
    );
    check(
        "kind = 'email'\nserver = 'smtp://mail'\nfrom = 'a@b'\nto = ['c@d']\nuser = 'u'\npassword_file = '/p'",
        "line 4: outputs.server: must begin with smtps:// or smtp+starttls:// where there is a password",
    );
    let twice = output("url = 'https://x'").repeat(2);
    refused(&twice, "line 5: outputs.name: is that of another output too");
    let error =
        Config::parse(FILE, &output("url = 'https://x'\nfilter = 'sev=1'")).expect_err("a wrong filter");
    assert!(error.to_string().starts_with("urva.toml, line 4: outputs.filter: "), "{error}");
    let config = Config::parse(FILE, &output("url = 'https://x'")).expect("an output");
    assert_eq!(config.site().subscriptions.len(), 1);
    assert!(Config::default().site().subscriptions.is_empty());
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let error = Config::parse(FILE, "[place]\nproject == 'x'\n").expect_err("not TOML");
    assert!(error.to_string().starts_with("urva.toml, line 2: this is not TOML: "), "{error}");
    let error = Config::parse(FILE, "[place]\n[place]\n").expect_err("a section twice");
    assert!(error.to_string().starts_with("urva.toml, line 2: this is not TOML: "), "{error}");
}

#[test]
fn each_key_is_documented_and_each_documented_key_exists() {
    let mut types = serde_json::to_value(Config::default()).unwrap();
    types["outputs"] = serde_json::to_value(OutputConfig::default()).unwrap();
    let mut expected: Vec<(String, String)> = Vec::new();
    for (section, keys) in types.as_object().unwrap() {
        expected.extend(keys.as_object().unwrap().keys().map(|key| (section.clone(), key.clone())));
    }
    let mut documented: Vec<(String, String)> = Vec::new();
    for section in &keys::SECTIONS {
        documented.extend(section.keys.iter().map(|key| (section.name.to_owned(), key.name.to_owned())));
    }
    expected.sort();
    documented.sort();
    assert_eq!(documented, expected);
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
    let page = std::fs::read_to_string(path).expect("docs/config.md");
    let current = keys::reference().unwrap();
    assert_eq!(page, current, "write it anew: cargo run -- config reference > docs/config.md");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = Config::parse(FILE, &text).map_err(|error| error.to_string());
    }
}
