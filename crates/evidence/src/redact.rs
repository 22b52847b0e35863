//! Keeps secrets out of findings: arguments and environment are cleaned before anything is stored.

use crate::{Capture, Sha256, Untrusted};
use bstr::ByteSlice;

/// What to keep out of findings. The default redacts secrets and keeps the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redaction {
    /// Keep arguments (Google's module `REPORT_CLI_ARGUMENTS`).
    pub report_arguments: bool,
    /// Keep environment variables (Google's module `REPORT_ENVIRONMENT_VARIABLES`).
    pub report_environment: bool,
    /// Replace what looks like a secret in what is kept.
    pub redact_secrets: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        Self { report_arguments: true, report_environment: true, redact_secrets: true }
    }
}

/// Words in the name of a variable or an option that say that its value is a secret.
const SECRET_WORDS: [&[u8]; 14] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"api-key",
    b"access_key",
    b"accesskey",
    b"private_key",
    b"credential",
    b"connection_string",
    b"cookie",
];

/// Beginnings of well-known keys, each with the least length of the whole.
const KEY_PREFIXES: [(&[u8], usize); 14] = [
    (b"AKIA", 20),
    (b"ASIA", 20),
    (b"ghp_", 36),
    (b"gho_", 36),
    (b"ghs_", 36),
    (b"github_pat_", 40),
    (b"glpat-", 20),
    (b"xoxb-", 20),
    (b"xoxp-", 20),
    (b"sk_live_", 24),
    (b"sk-", 24),
    (b"eyJhbGciOi", 40),
    (b"AIza", 35),
    (b"npm_", 36),
];

impl Redaction {
    /// Cleans a capture. The script's own text is evidence and stays as it is, on the command line too.
    pub fn apply(&self, capture: &mut Capture) {
        let text_argument = capture.script.text_argument;
        let process = &mut capture.process;
        if !self.report_arguments {
            process.args.clear();
        }
        if !self.report_environment {
            process.environment.clear();
        }
        if !self.redact_secrets {
            return;
        }
        let mut value_is_secret = false;
        for (index, argument) in process.args.iter_mut().enumerate() {
            if Some(index) == text_argument {
                continue;
            }
            if value_is_secret && !argument.starts_with(b"-") {
                *argument = mark(argument);
                value_is_secret = false;
                continue;
            }
            value_is_secret =
                argument.starts_with(b"-") && !argument.contains(&b'=') && names_secret(argument);
            redact_assignment(argument);
        }
        process.environment.iter_mut().for_each(redact_assignment);
    }
}

/// Replaces the value of `NAME=value` where the name speaks of a secret, and keys and passwords wherever they stand.
fn redact_assignment(text: &mut Untrusted) {
    if let Some((name, value)) = text.split_once_str("=")
        && names_secret(name)
        && !value.is_empty()
    {
        let mut clean = name.to_vec();
        clean.push(b'=');
        clean.extend_from_slice(&mark(value));
        *text = clean.into();
        return;
    }
    redact_url_password(text);
    redact_header(text);
    redact_keys(text);
}

fn names_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains_str(word))
        || [&b"pwd"[..], b"pass", b"auth", b"key"].iter().any(|word| {
            name.split(|byte| !byte.is_ascii_alphanumeric()).any(|part| part == *word) && name != b"pwd"
        }) && name != b"oldpwd"
}

/// `scheme://user:password@host`, each of them.
fn redact_url_password(text: &mut Untrusted) {
    let mut from = 0;
    while let Some(start) = text[from..].find("://").map(|at| from + at + 3) {
        from = start;
        let end = text[start..].find_byteset(b"/?# \t\n'\"").map_or(text.len(), |length| start + length);
        let Some(at) = text[start..end].rfind_byte(b'@').map(|at| start + at) else { continue };
        let Some(colon) = text[start..at].find_byte(b':').map(|colon| start + colon) else { continue };
        let secret = mark(&text[colon + 1..at]);
        text.0.splice(colon + 1..at, secret.0);
    }
}

/// `Authorization: Bearer …`, `X-Api-Key: …`
fn redact_header(text: &mut Untrusted) {
    let Some(colon) = text.find(": ") else { return };
    let name = &text[..colon];
    let is_header = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if !is_header || !(names_secret(name) || name.eq_ignore_ascii_case(b"authorization")) {
        return;
    }
    let secret = mark(&text[colon + 2..]);
    text.0.truncate(colon + 2);
    text.0.extend_from_slice(&secret);
}

fn redact_keys(text: &mut Untrusted) {
    let is_key_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let mut clean = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        let length = text[at..].iter().take_while(|byte| is_key_byte(byte)).count();
        let word = &text[at..at + length];
        if KEY_PREFIXES.iter().any(|(prefix, least)| word.starts_with(prefix) && length >= *least) {
            clean.extend_from_slice(&text[copied..at]);
            clean.extend_from_slice(&mark(word));
            copied = at + length;
        }
        at += length + 1;
    }
    if copied > 0 {
        clean.extend_from_slice(&text[copied..]);
        *text = clean.into();
    }
}

/// What stands in a secret's place. Sixteen bits of its hash let an analyst see that two values differ, and
/// are too few to find the value by trying.
fn mark(secret: &[u8]) -> Untrusted {
    let digest = Sha256::of(secret);
    format!("[redacted {:02x}{:02x}]", digest.0[0], digest.0[1]).into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut value = Untrusted::from(text);
        redact_assignment(&mut value);
        let shown = value.to_text();
        let shown = match (shown.find("[redacted "), shown.find(']')) {
            (Some(start), Some(end)) => format!("{}[…]{}", &shown[..start], &shown[end + 1..]),
            _ => shown,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_whose_name_says_secret_are_replaced() {
        check("DB_PASSWORD=hunter2", "DB_PASSWORD=[…]");
        check("--api-key=abc", "--api-key=[…]");
        check("AWS_SECRET_ACCESS_KEY=x", "AWS_SECRET_ACCESS_KEY=[…]");
        check("MYSQL_PWD=x", "MYSQL_PWD=[…]");
        check("SSH_AUTH=x", "SSH_AUTH=[…]");
    }

    #[test]
    fn ordinary_values_stay() {
        for text in
            ["PWD=/root", "OLDPWD=/", "PATH=/bin:/usr/bin", "MONKEY=1", "COMPASS=n", "PASSWORD=", "-x"]
        {
            check(text, text);
        }
    }

    #[test]
    fn secrets_are_found_inside_other_text() {
        check("postgres://urva:hunter2@db/x", "postgres://urva:[…]@db/x");
        check("Authorization: Bearer abc", "Authorization: […]");
        check("curl -u AKIAIOSFODNN7EXAMPLE:x", "curl -u […]:x");
        check("http://host:80/path@2", "http://host:80/path@2");
    }

    #[test]
    fn each_url_of_a_list_is_cleaned() {
        let mut value = Untrusted::from("https://a https://u:one@b http://v:two@c/x");
        redact_assignment(&mut value);
        let shown = value.to_text();
        assert!(!shown.contains("one") && !shown.contains("two") && shown.ends_with("@c/x"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_redacted(bytes: Vec<u8>) {
            let mut text = Untrusted(bytes);
            redact_assignment(&mut text);
        }
    }
}
