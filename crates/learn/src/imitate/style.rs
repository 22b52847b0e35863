//! Styles: the same statements as an engineer or an attacker would lay them out, in a function, a class, a `setup.py`.
//!
//! Both sides get the same styles, so that none of them tells the sides apart.
//!
//! Owns: what stands around statements. Refuses: changing a statement.

use super::fill::fill;
use crate::random::Random;
use evidence::Language;

/// `text` in one of the styles of its language; nothing where it cannot be indented without changing it.
pub(super) fn restyle(language: Language, text: &str, random: &mut Random) -> Option<String> {
    match language {
        Language::Python => restyle_python(text, random),
        Language::Shell => restyle_shell(text, random),
    }
}

fn restyle_python(text: &str, random: &mut Random) -> Option<String> {
    let is_rigid = ["\"\"\"", "'''", "\\\n", "import *", "__future__", "coding:", "\t", "await ", "global "];
    if is_rigid.iter().any(|mark| text.contains(mark)) || !text.contains('\n') {
        return None;
    }
    let is_head = |line: &&str| {
        line.is_empty() || (line.starts_with("import ") || line.starts_with("from ")) && !line.contains(';')
    };
    let imports: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("#!")).take_while(is_head).collect();
    let body: Vec<&str> = text.lines().filter(|line| !line.starts_with("#!")).skip(imports.len()).collect();
    if body.is_empty() {
        return None;
    }
    let style = fill(PYTHON[random.below(PYTHON.len())], random);
    let (head, imported) = (header(random), imports.join("\n"));
    let mut out = format!("{head}{imported}\n");
    push_styled(&mut out, &style, &body);
    Some(out)
}

/// The lines of a style, with the body where it says `BODY`.
fn push_styled(out: &mut String, style: &str, body: &[&str]) {
    for line in style.lines() {
        match line.strip_suffix("BODY") {
            Some(indent) => push_indented(out, body, indent),
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
}

fn push_indented(out: &mut String, body: &[&str], indent: &str) {
    for line in body {
        if !line.is_empty() {
            out.push_str(indent);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn restyle_shell(text: &str, random: &mut Random) -> Option<String> {
    if text.contains("<<") || text.contains("\\\n") || text.trim().is_empty() {
        return None;
    }
    let (shebang, body) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (first, rest),
        _ => ("#!/bin/bash", text),
    };
    let body: Vec<&str> = body.lines().collect();
    let style = fill(SHELL[random.below(SHELL.len())], random);
    let mut out = format!("{shebang}\n");
    push_styled(&mut out, &style, &body);
    Some(out)
}

/// What often stands above the first import.
fn header(random: &mut Random) -> String {
    fill(
        "⟦¦¦#!/usr/bin/env python⟦¦3¦2⟧\n⟦# -*- coding: utf-8 -*-\n¦⟧¦# ⟦-*- coding: utf-8 -*-¦TODO: clean up¦Copyright 2024 Example, Inc.¦generated, do not edit⟧\n⟧⟦¦¦\"\"\"⟦Small helper¦Entry point¦Runs at start¦Part of ⟦@app⟧⟧.\"\"\"\n⟧",
        random,
    )
}

const PYTHON: &[&str] = &[
    "\n\ndef ⟦@fn#1⟧():\n    BODY\n\n\nif __name__ == \"__main__\":\n    ⟦@fn#1⟧()",
    "\nif __name__ == '__main__':\n    BODY",
    "\ntry:\n    BODY\nexcept ⟦Exception¦Exception as error¦KeyboardInterrupt¦OSError⟧:\n    ⟦pass¦raise¦print(\"failed\")¦import traceback; traceback.print_exc()⟧",
    "import logging\n\nlog = logging.getLogger(⟦__name__¦\"⟦@app⟧\"⟧)\n⟦logging.basicConfig(level=logging.INFO)\n¦⟧\n\ndef ⟦@fn#1⟧():\n    log.⟦info¦debug⟧(\"⟦started¦begin¦running⟧\")\n    BODY\n    log.info(\"⟦done¦finished⟧\")\n\n\n⟦@fn#1⟧()",
    "import argparse\n\ndef main(⟦¦argv=None⟧):\n    parser = argparse.ArgumentParser(⟦¦description=\"⟦@app⟧ tool\"⟧)\n    parser.add_argument(\"-v\", \"--verbose\", action=\"store_true\")\n    ⟦parser.add_argument(\"--config\", default=\"/etc/⟦@app⟧.yml\")\n    ¦⟧args = parser.parse_args()\n    BODY\n    return 0\n\nif __name__ == \"__main__\":\n    raise SystemExit(main())",
    "\n\nclass ⟦@Cls#1⟧⟦¦(object)⟧:\n    ⟦\"\"\"⟦Does the work¦One task¦Holds state⟧.\"\"\"\n\n    ¦⟧def __init__(self⟦¦, config=None⟧):\n        self.⟦done = False¦config = {}¦retries = 3⟧\n\n    def ⟦@fn#2⟧(self):\n        BODY\n\n\n⟦@Cls#1⟧().⟦@fn#2⟧()",
    "import threading\n\ndef ⟦@fn#1⟧():\n    BODY\n\nt = threading.Thread(target=⟦@fn#1⟧⟦¦, daemon=True⟧)\nt.start()\n⟦t.join()¦print(\"ready\")¦⟧",
    "from setuptools import setup\nfrom setuptools.command.⟦install import install¦build_py import build_py as install¦develop import develop as install⟧\n\nclass ⟦@Cls#1⟧Install(install):\n    def run(self):\n        install.run(self)\n        BODY\n\nsetup(name=\"⟦@app⟧\", version=\"⟦1.0¦0.2.1⟧\", packages=[\"⟦@app⟧\"], cmdclass={\"install\": ⟦@Cls#1⟧Install})",
    "from flask import Flask\n\napp = Flask(__name__)\n\n@app.route(\"/⟦@app⟧\")\ndef ⟦@fn#1⟧():\n    BODY\n    return \"ok\"\n\nif __name__ == \"__main__\":\n    app.run(host=\"0.0.0.0\", port=⟦5000¦8000⟧)",
    "import ⟦atexit\n\ndef ⟦@fn#1⟧():\n    BODY\n\natexit.register(⟦@fn#1⟧)¦signal\n\ndef ⟦@fn#1⟧(signum, frame):\n    BODY\n\nsignal.signal(signal.SIGUSR1, ⟦@fn#1⟧)\nsignal.pause()⟧",
    "import contextlib\n\nwith contextlib.suppress(⟦Exception¦OSError⟧):\n    BODY",
    "import unittest\n\nclass ⟦@Cls#1⟧Test(unittest.TestCase):\n    def test_⟦@fn⟧(self):\n        BODY\n\nif __name__ == \"__main__\":\n    unittest.main()",
    "import time\n\ndef ⟦@fn#1⟧():\n    BODY\n\nwhile True:\n    ⟦@fn#1⟧()\n    time.sleep(⟦@secs⟧)",
    "import ⟦click\n\n@click.command()\ndef ⟦@fn#1⟧():\n    BODY\n\n⟦@fn#1⟧()¦functools\n\n@functools.lru_cache(maxsize=None)\ndef ⟦@fn#1⟧():\n    BODY\n\n⟦@fn#1⟧()⟧",
    "⟦VERSION = \"1.0\"\n¦DEBUG = False\n¦⟧\n# ⟦configuration¦main part¦work starts here⟧\nBODY\n\n# ⟦end¦eof¦done⟧",
    "import os\n\ndef ⟦@fn#1⟧():\n    return os.environ.get(\"⟦@app⟧_ENV\", \"⟦prod¦dev⟧\")\n\nif ⟦@fn#1⟧() != \"test\":\n    BODY",
];

const SHELL: &[&str] = &[
    "⟦set -e\n¦set -euo pipefail\n¦⟧⟦@fn#1⟧() {\n  BODY\n}\n\n⟦@fn#1⟧ \"$@\"",
    "⟦# ⟦start-up¦runs nightly¦helper for ⟦@app⟧⟧\n¦⟧⟦log() { echo \"$(date '+%F %T') $*\"; }\nlog \"⟦starting¦begin⟧\"\n¦⟧BODY\n⟦log done¦exit 0¦echo \"done\"⟧",
    "if [ ⟦\"$(id -u)\" = 0¦-n \"$HOME\"¦-d /etc¦! -f /tmp/⟦@app⟧.lock⟧ ]; then\n  BODY\nfi",
    "(\n  BODY\n) ⟦&¦>/dev/null 2>&1 &¦2>&1 | tee -a /var/log/⟦@app⟧.log⟧",
    "case \"${1:-start}\" in\n  ⟦start¦run¦install⟧)\n    BODY\n    ;;\n  *) echo \"usage: $0 {⟦start¦run¦install⟧}\" >&2; exit 1 ;;\nesac",
    "for ⟦i in 1 2 3¦try in $(seq 5)⟧; do\n  BODY\n  sleep ⟦@secs⟧\ndone",
    "⟦trap 'exit 1' INT TERM\n¦trap 'rm -f /tmp/⟦@app⟧.*' EXIT\n¦⟧⟦export DEBIAN_FRONTEND=noninteractive\n¦PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n¦umask 022\n⟧BODY",
    "while ⟦true¦sleep ⟦@secs⟧¦:⟧; do\n  BODY\n  ⟦sleep ⟦@secs⟧¦break⟧\ndone",
    "cd \"$(dirname \"$0\")\" || exit 1\n⟦. ./⟦env¦lib¦common⟧.sh 2>/dev/null\n¦⟧BODY",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_kept_and_imports_stand_above() {
        for seed in 0..60 {
            let text = "import os\nfrom a import b\n\nx = 1\nif x:\n    print(os.name)";
            let styled = restyle(Language::Python, text, &mut Random::new(seed)).unwrap();
            assert!(styled.contains("import os\nfrom a import b\n"), "{styled}");
            assert!(styled.contains("print(os.name)") && !styled.contains("BODY"), "{styled}");
            let styled =
                restyle(Language::Shell, "#!/bin/sh\necho a\necho b", &mut Random::new(seed)).unwrap();
            assert!(styled.starts_with("#!/bin/sh\n") && styled.contains("echo b\n"), "{styled}");
        }
    }

    #[test]
    fn what_indenting_would_change_is_left() {
        let mut random = Random::new(1);
        assert_eq!(restyle(Language::Python, "x = \"\"\"a\nb\"\"\"", &mut random), None);
        assert_eq!(restyle(Language::Shell, "cat <<EOF\na\nEOF", &mut random), None);
    }
}
