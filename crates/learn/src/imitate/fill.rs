//! Choices and fillers: how one template yields many texts.
//!
//! Owns: `⟦a¦b¦c⟧`, `⟦@host⟧` and `⟦@name#1⟧`. Refuses: knowing what a text means.

use crate::random::Random;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS: &[u8] = b"0123456789abcdef";

/// Fillers that are one of few words.
const WORDS: &[(&str, &[&str])] = &[
    (
        "host",
        &[
            "attacker.example",
            "cdn.example.net",
            "evil.example.com",
            "c2.example.org",
            "update.example",
            "static.example.net",
            "api.example.org",
            "node7.example.com",
            "localhost",
        ],
    ),
    (
        "port",
        &["4444", "9001", "1337", "443", "8080", "53", "5555", "31337", "8443", "6666", "9", "4242", "2222"],
    ),
    (
        "name",
        &[
            "a",
            "x",
            "update",
            "kworker",
            "init",
            "sysd",
            "agent",
            "tool",
            "run",
            "payload",
            "dbus",
            "httpd",
            "watch",
            "sync",
            "java",
            "bioset",
            "rcu_bh",
            "systemd-net",
            "udevd",
            "helper",
            "lib",
            "kinsing",
        ],
    ),
    (
        "fn",
        &[
            "main",
            "run",
            "start",
            "work",
            "connect",
            "go",
            "loop",
            "handle",
            "task",
            "session",
            "f",
            "init",
            "do_it",
            "process",
            "execute",
            "boot",
            "serve",
            "setup_env",
            "check",
            "_x",
        ],
    ),
    (
        "Cls",
        &[
            "Agent", "Client", "Worker", "Service", "Session", "Handler", "Runner", "Task", "Node", "Bot",
            "Link", "Updater", "A",
        ],
    ),
    (
        "dir",
        &[
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/tmp/.cache",
            "/run",
            "/opt",
            "/usr/local/bin",
            "/tmp/.X11-unix",
            "/var/lib/.d",
        ],
    ),
    (
        "app",
        &[
            "web", "api", "worker", "app", "service", "backend", "portal", "shop", "billing", "notes",
            "report", "gateway", "tasks", "ledger",
        ],
    ),
    ("secs", &["1", "2", "3", "5", "10", "15", "30", "45", "60", "120", "300", "600", "3600"]),
    (
        "ua",
        &[
            "Mozilla/5.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
            "curl/7.88.1",
            "python-requests/2.31",
            "Wget/1.21",
        ],
    ),
    (
        "pool",
        &[
            "pool.example.org:3333",
            "stratum+tcp://pool.example.com:4444",
            "stratum+ssl://xmr.example.net:443",
            "xmr.pool.example:14444",
            "198.51.100.7:3333",
            "gulf.example.org:10128",
        ],
    ),
];

/// Replaces each choice and filler, the innermost first. `⟦@name#1⟧` is the same word wherever it stands in a text.
/// An unclosed one, and a filler that nobody knows, is left as it is.
pub(super) fn fill(text: &str, random: &mut Random) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut bound: Vec<(String, String)> = Vec::new();
    // What stands before the innermost open bracket is kept in `out`; its start is found from behind.
    while let Some(end) = rest.find('⟧') {
        out.push_str(&rest[..end]);
        rest = &rest[end + '⟧'.len_utf8()..];
        let Some(start) = out.rfind('⟦') else { continue };
        let choice = out.split_off(start);
        let choice = &choice['⟦'.len_utf8()..];
        match choice.strip_prefix('@').and_then(|name| word(name, &mut bound, random)) {
            Some(word) => out.push_str(&word),
            None => {
                let options: Vec<&str> = choice.split('¦').collect();
                out.push_str(options[random.below(options.len())]);
            }
        }
    }
    out.push_str(rest);
    out
}

fn word(name: &str, bound: &mut Vec<(String, String)>, random: &mut Random) -> Option<String> {
    let Some((kind, _)) = name.split_once('#') else { return filler(name, random) };
    if let Some((_, word)) = bound.iter().find(|(known, _)| known == name) {
        return Some(word.clone());
    }
    let word = filler(kind, random)?;
    bound.push((name.to_owned(), word.clone()));
    Some(word)
}

fn pick<'o>(options: &[&'o str], random: &mut Random) -> &'o str {
    options[random.below(options.len())]
}

fn letters(alphabet: &[u8], length: usize, random: &mut Random) -> String {
    (0..length).map(|_| char::from(alphabet[random.below(alphabet.len())])).collect()
}

fn filler(name: &str, random: &mut Random) -> Option<String> {
    Some(match name {
        "ip" => ip(random),
        "host" if random.below(2) == 0 => ip(random),
        "url" => url(random),
        "webhook" => webhook(random),
        "wallet" => {
            let head = pick(&["4", "8", "bc1q", "1", "0x"], random);
            format!("{head}{}", letters(&LETTERS[..62], 20 + random.below(70), random))
        }
        "onion" => letters(b"abcdefghijklmnopqrstuvwxyz234567", 56, random),
        "b64" => letters(LETTERS, 4 * (6 + random.below(60)), random),
        "hex" => letters(DIGITS, 32, random),
        "hex8" => letters(DIGITS, 8, random),
        "HEX" => letters(DIGITS, 16, random).to_uppercase(),
        "xhex" => {
            let length = 8 + random.below(24);
            (0..length).map(|_| format!("\\x{}", letters(DIGITS, 2, random))).collect()
        }
        "ints" => {
            let numbers = (0..12 + random.below(30)).map(|_| (32 + random.below(94)).to_string());
            let numbers: Vec<String> = numbers.collect();
            numbers.join(pick(&[", ", ","], random))
        }
        _ => {
            let (_, words) = WORDS.iter().find(|(known, _)| *known == name)?;
            pick(words, random).to_owned()
        }
    })
}

fn ip(random: &mut Random) -> String {
    let nets = ["192.0.2", "198.51.100", "203.0.113", "127.0.0", "10.0.0", "172.17.0", "192.168.1"];
    format!("{}.{}", pick(&nets, random), 1 + random.below(254))
}

fn url(random: &mut Random) -> String {
    let host = filler("host", random).unwrap_or_default();
    let scheme = pick(&["http", "https", "http"], random);
    let port = match random.below(3) {
        0 => format!(":{}", filler("port", random).unwrap_or_default()),
        _ => String::new(),
    };
    let name = filler("name", random).unwrap_or_default();
    let path = pick(&["", "u", "api/v1/x", "collect", "upload", "s/", "files/", "d/", "log"], random);
    let tail = if path.is_empty() || path.ends_with('/') { name } else { String::new() };
    format!("{scheme}://{host}{port}/{path}{tail}{}", pick(&["", "", ".sh", ".php", ".txt"], random))
}

fn webhook(random: &mut Random) -> String {
    let token = letters(&LETTERS[..62], 40, random);
    match random.below(4) {
        0 => format!("https://discord.com/api/webhooks/{}/{token}", 1 + random.below(9)),
        1 => format!("https://hooks.slack.com/services/T0/B0/{token}"),
        2 => format!("https://webhook.site/{token}"),
        _ => url(random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, wanted: &[&str]) {
        for seed in 0..20 {
            let text = fill(template, &mut Random::new(seed));
            assert!(wanted.contains(&text.as_str()), "{template} became {text}");
        }
    }

    #[test]
    fn choices_may_hold_choices() {
        check("x⟦a¦b⟦c¦d⟧⟧y", &["xay", "xbcy", "xbdy"]);
        check("plain", &["plain"]);
    }

    #[test]
    fn what_only_looks_like_a_filler_stays() {
        check("⟦@reboot¦@daily⟧ x", &["@reboot x", "@daily x"]);
        check("⟦@nothing⟧", &["@nothing"]);
    }

    #[test]
    fn a_bound_word_is_the_same_everywhere() {
        for seed in 0..20 {
            let text = fill("⟦@fn#1⟧ ⟦@hex8#2⟧ ⟦@fn#1⟧ ⟦@hex8#2⟧", &mut Random::new(seed));
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!((words[0], words[1]), (words[2], words[3]), "{text}");
        }
    }

    #[test]
    fn brackets_that_are_not_closed_or_not_opened_end() {
        check("a⟦b", &["a⟦b"]);
        check("a⟧b", &["ab"]);
    }
}
