//! What disguised programs print is what the plain ones print.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use evidence::Language;
use learn::Random;
use learn::disguise::Disguise;
use std::io::Write;
use std::process::{Command, Stdio};

const PYTHON: &[&str] = &[
    "import os, json\nimport sys as system\n\n# settings\nLIMIT = 5\nwords = ['alpha', \"beta\", 'gamma']\n\n\ndef join(items, sep='-', *rest, **more):\n    \"\"\"Joins.\"\"\"\n    total = 0\n    for index, item in enumerate(items):\n        total += index\n    return sep.join(items) + str(total)\n\n\nclass Box(object):\n    \"\"\"A box.\"\"\"\n    size = 3\n\n    def __init__(self, size=None):\n        self.size = size or Box.size\n        self.data = {'size': self.size, \"kind\": b'raw bytes'}\n\n    def show(self):\n        # prints\n        data = self.data\n        print(json.dumps(sorted(map(str, data.items()))), f\"{self.size:>4} {LIMIT!r}\")\n\n\nprint(join(words, sep='+'))\nBox(size=7).show()\nBox().show()\ntry:\n    open('/nonexistent/file')\nexcept OSError as error:\n    print(type(error).__name__, os.path.basename('/a/b'))\nvalues = [(lambda x: x * LIMIT)(n) for n in range(3)]\nprint(values, len(words), 'it is %s' % words[0], system.byteorder in ('little', 'big'))\nif __name__ == '__main__':\n    print('main', os.path.join('a', 'b'))\n",
    "def fib(n):\n    a, b = 0, 1\n    while n:\n        a, b = b, a + b\n        n -= 1\n    return a\n\n\ncounter = 0\n\n\ndef bump():\n    global counter\n    counter += fib(4)\n    return locals()\n\n\nbump()\nprint(counter, fib(30), 'naïve ünïcode', 'tab\\there', r'raw\\n')\nwith open('/dev/null') as handle:\n    print(repr(handle.read()), 'done')\n",
];

const SHELL: &[&str] = &[
    "#!/bin/bash\n# greets\nname=\"world\"\ncount=3\ngreet() {\n  local who=\"$1\"\n  echo \"hello ${who}\"\n}\ngreet \"$name\"\nfor item in one two three; do\n  printf '%s %d\\n' \"$item\" \"$((count + 1))\"\ndone\nif [ \"$count\" -gt 2 ]; then\n  echo many words | tr a-z A-Z\nfi\ncase \"$name\" in\n  world) echo yes ;;\n  *) echo no ;;\nesac\ncat <<EOF\nvalue $count and $name\nEOF\nexport SHOWN=1\nenv | grep SHOWN\n",
    "total=0\nfor number in 1 2 3 4; do\n  total=$((total + number))\ndone\nuntil [ \"$total\" -le 5 ]; do total=$((total - 1)); done\necho \"$total\" 'single $total' \"it's\"\nbasename /usr/lib/thing.txt .txt\necho done # the end\n",
];

const PADDING: &[&[u8]] = &[
    b"import os\nfor name in os.listdir('.'):\n    print(name)\nraise SystemExit(3)\n",
    b"x = 1\nwhile True:\n    x += 1\n",
];

const SHELL_PADDING: &[&[u8]] = &[b"exit 1\n", b"#!/bin/sh\nset -e\nfalse\nrm -rf build\n"];

fn output_of(language: Language, text: &[u8]) -> (String, bool) {
    let (program, arguments) = match language {
        Language::Python => ("python3", ["-W", "ignore", "/dev/stdin"]),
        Language::Shell => ("bash", ["--norc", "--noprofile", "/dev/stdin"]),
    };
    // A file, for programs read their own standard input through some of the disguises.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let run = Command::new(program).args(&arguments[..2]).arg(file.path()).stdin(Stdio::null()).output();
    let run = run.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    let errors = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(errors.is_empty(), "{errors}\n{}", String::from_utf8_lossy(&text[..text.len().min(4000)]));
    (String::from_utf8(run.stdout).unwrap(), run.status.success())
}

fn check(language: Language, programs: &[&str], padding: &[&[u8]]) {
    for program in programs {
        let wanted = output_of(language, program.as_bytes());
        assert!(wanted.0.lines().count() >= 2 && wanted.1);
        for disguise in Disguise::ALL {
            for seed in 0..4 {
                let made = disguise.apply(language, program.as_bytes(), &mut Random::new(seed), padding);
                let again = disguise.apply(language, program.as_bytes(), &mut Random::new(seed), padding);
                assert_eq!(made, again, "{} is not the same twice", disguise.name());
                let Some(made) = made else { continue };
                assert_ne!(made, program.as_bytes(), "{}", disguise.name());
                let got = output_of(disguise.language_after(language), &made);
                let shown = String::from_utf8_lossy(&made[..made.len().min(4000)]);
                assert_eq!(got, wanted, "{} changed what a program does:\n{shown}", disguise.name());
            }
        }
    }
}

#[test]
fn disguised_python_prints_the_same() {
    check(Language::Python, PYTHON, PADDING);
}

#[test]
fn disguised_shell_prints_the_same() {
    check(Language::Shell, SHELL, SHELL_PADDING);
}

#[test]
fn each_disguise_fits_some_program_and_says_so_by_a_name_of_its_own() {
    let names: std::collections::HashSet<String> = Disguise::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(names.len(), Disguise::ALL.len());
    for disguise in Disguise::ALL {
        let fits = |language, programs: &[&str], padding| {
            let of = |text: &&str| disguise.apply(language, text.as_bytes(), &mut Random::new(1), padding);
            programs.iter().filter_map(of).count()
        };
        assert!(fits(Language::Python, PYTHON, PADDING) > 0, "{}", disguise.name());
        let is_python_only = matches!(disguise, Disguise::Base85 | Disguise::Xor | Disguise::CodingLine);
        assert_eq!(fits(Language::Shell, SHELL, SHELL_PADDING) == 0, is_python_only, "{}", disguise.name());
    }
}

#[test]
fn padding_has_the_size_that_was_asked_for() {
    for disguise in Disguise::ALL {
        if let Disguise::Padding(_, size) = disguise {
            let made = disguise.apply(Language::Python, b"print(1)\n", &mut Random::new(1), PADDING).unwrap();
            assert!((*size..*size + 4096).contains(&made.len()), "{}: {}", disguise.name(), made.len());
        }
    }
}

#[test]
fn what_is_no_program_is_refused_or_wrapped_and_never_panics() {
    let texts: &[&[u8]] =
        &[b"", b"\xff\xfe\0", b"def (", b"if [", b"'", b"\r\n", b"((((((((", "𝔘ñ".as_bytes()];
    for language in [Language::Python, Language::Shell] {
        for text in texts {
            for disguise in Disguise::ALL {
                let _ = disguise.apply(language, text, &mut Random::new(1), &[]);
            }
        }
        let broken = Disguise::Rename.apply(language, b"if (\n", &mut Random::new(1), &[]);
        assert_eq!(broken, None);
    }
}
