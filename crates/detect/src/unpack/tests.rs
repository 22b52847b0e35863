//! Cases of each kind. What they carry is harmless: it prints or asks for the user's number.

use super::*;
use evidence::Language::{Python, Shell};

const PRINTS: &str = "print(\"Hello, layer\")";
const COMMAND: &str = "echo harmless && id -u";

/// The text has a layer with this text, this origin and this fate.
fn check(language: Language, text: &str, layer: &str, origin: &str, is_executed: bool) {
    let unpacked = unpack(language, text.as_bytes());
    let shown: Vec<_> = unpacked
        .layers
        .iter()
        .map(|layer| (String::from_utf8_lossy(&layer.text).into_owned(), layer.origin(), layer.is_executed))
        .collect();
    let wanted = (layer.to_owned(), origin.to_owned(), is_executed);
    assert!(shown.contains(&wanted), "{text}\nlacks {wanted:?}\nhas {shown:#?}");
}

#[test]
#[allow(clippy::too_many_lines, reason = "one case a line")]
fn each_coding_of_python_is_decoded() {
    check(
        Python,
        "import base64\nexec(base64.b64decode('cHJpbnQoIkhlbGxvLCBsYXllciIp'))",
        PRINTS,
        "line 2: base64, executed",
        true,
    );
    check(
        Python,
        "import base64 as q\nexec(q.b32decode('OBZGS3TUFAREQZLMNRXSYIDMMF4WK4RCFE======'))",
        PRINTS,
        "line 2: base32, executed",
        true,
    );
    check(
        Python,
        "from base64 import b85decode as q\nexec(q('aB^vGbSNT7Wo&G3EFf%Qd1Z1UDF'))",
        PRINTS,
        "line 2: base85, executed",
        true,
    );
    check(
        Python,
        "import base64\nexec(base64.a85decode('E,oZ1F=8>(ASc1$/0Jb;H\"D\"?.0'))",
        PRINTS,
        "line 2: ascii85, executed",
        true,
    );
    check(
        Python,
        "exec(bytes.fromhex('7072696e74282248656c6c6f2c206c617965722229').decode())",
        PRINTS,
        "line 1: hexadecimal, executed",
        true,
    );
    check(
        Python,
        "import binascii\nexec(binascii.unhexlify('7072696e74282248656c6c6f2c206c617965722229'))",
        PRINTS,
        "line 2: hexadecimal, executed",
        true,
    );
    check(
        Python,
        "import zlib, base64\nexec(zlib.decompress(base64.b64decode('eJwrKMrMK9FQ8kjNycnXUchJrEwtUtIEAFJ7ByA=')))",
        PRINTS,
        "line 2: base64, zlib, executed",
        true,
    );
    check(
        Python,
        "import gzip, base64\nexec(gzip.decompress(base64.b64decode('H4sIAAAAAAACAysoyswr0VDySM3JyddRyEmsTC1S0gQAMDk7GhUAAAA=')))",
        PRINTS,
        "line 2: base64, gzip, executed",
        true,
    );
    check(
        Python,
        "import lzma, base64\nexec(compile(lzma.decompress(base64.b64decode('/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAUcHJpbnQoIkhlbGxvLCBsYXllciIpAAAAAEFD7mem/safAAEtFS8LcW0ftvN9AQAAAAAEWVo=')), 'x', 'exec'))",
        PRINTS,
        "line 2: base64, lzma, executed",
        true,
    );
    check(
        Python,
        "import bz2, base64\nexec(bz2.decompress(base64.b64decode('QlpoOTFBWSZTWZGdXpEAAAgVgFBkAEAiJdQgIAAxTAATQpoyGmynqOX9BYStyILDKS+LuSKcKEhIzq9IgA==')))",
        PRINTS,
        "line 2: base64, bzip2, executed",
        true,
    );
    check(
        Python,
        "import codecs\nexec(codecs.decode('cevag(\"Uryyb, ynlre\")', 'rot13'))",
        PRINTS,
        "line 2: rot13, executed",
        true,
    );
    check(
        Python,
        "import base64\nexec(base64.b64decode('pIicllXYsBCLvxGblhkIoQnbpJHc'[::-1]))",
        PRINTS,
        "line 2: reversed, base64, executed",
        true,
    );
    check(
        Python,
        "exec('\\x70\\x72\\x69\\x6e\\x74\\x28\\x22\\x48\\x65\\x6c\\x6c\\x6f\\x2c\\x20\\x6c\\x61\\x79\\x65\\x72\\x22\\x29')",
        PRINTS,
        "line 1: escapes, executed",
        true,
    );
}

#[test]
fn numbers_and_exclusive_or_are_computed() {
    check(
        Python,
        "exec(bytes([112, 114, 105, 110, 116, 40, 34, 72, 101, 108, 108, 111, 44, 32, 108, 97, 121, 101, 114, 34, 41]))",
        PRINTS,
        "line 1: character codes, executed",
        true,
    );
    check(
        Python,
        "exec(''.join(chr(c) for c in [112, 114, 105, 110, 116, 40, 34, 72, 101, 108, 108, 111, 44, 32, 108, 97, 121, 101, 114, 34, 41]))",
        PRINTS,
        "line 1: character codes, executed",
        true,
    );
    check(
        Python,
        "exec(''.join(map(chr, [112, 114, 105, 110, 116, 40, 34, 72, 101, 108, 108, 111, 44, 32, 108, 97, 121, 101, 114, 34, 41])))",
        PRINTS,
        "line 1: character codes, executed",
        true,
    );
    check(
        Python,
        "exec(bytes([c ^ 42 for c in b'ZXCD^\\x02\\x08bOFFE\\x06\\nFKSOX\\x08\\x03']))",
        PRINTS,
        "line 1: xor, executed",
        true,
    );
    check(
        Python,
        "out = ''\nfor c in [90, 88, 67, 68, 94, 2, 8, 98, 79, 70, 70, 69, 6, 10, 70, 75, 83, 79, 88, 8, 3]:\n    out += chr(c ^ 42)\nexec(out)",
        PRINTS,
        "lines 1-2: xor, executed",
        true,
    );
    check(
        Python,
        "key = b'k3y'\ndef open_it(data):\n    out = bytearray()\n    for i in range(len(data)):\n        out.append(data[i] ^ key[i % len(key)])\n    return bytes(out)\nexec(open_it(bytes.fromhex('1b4110054751497b1c075f164713150a4a1c191150')))",
        PRINTS,
        "line 7: hexadecimal, xor, executed",
        true,
    );
}

#[test]
fn indirection_is_followed() {
    check(
        Python,
        "_ = lambda __ : __import__('zlib').decompress(__import__('base64').b64decode(__[::-1]));exec((_)(b'=AyB7JFAEItUtwErJhcUXncyNjk8QF9KMrMKrwJe'))",
        PRINTS,
        "line 1: reversed, base64, zlib, executed",
        true,
    );
    check(
        Python,
        "getattr(__builtins__, 'ex'+'ec')(__import__('ba'+'se64').b64decode('cHJpbnQoIkhlbGxvLCBsYXllciIp'))",
        PRINTS,
        "line 1: base64, executed",
        true,
    );
    check(
        Python,
        "p = 'cHJpbnQoIk'\np += 'hlbGxvLCBsYXllciIp'\nfrom base64 import *\nexec(b64decode(p))",
        PRINTS,
        "lines 1-2: joined parts, base64, executed",
        true,
    );
    check(
        Python,
        "e = eval('\\x65\\x78\\x65\\x63')\ne(__import__('base64').b64decode('cHJpbnQoIkhlbGxvLCBsYXllciIp'))",
        PRINTS,
        "line 2: base64, executed",
        true,
    );
    check(
        Python,
        "import base64\na = 'cHJpbnQoIkhl'\nb = 'bGxvLCBsYXllciIp'\nexec(base64.b64decode(eval('a') + eval('b')))",
        PRINTS,
        "lines 2-3: joined parts, base64, executed",
        true,
    );
    check(
        Python,
        "__builtins__.__dict__['exec']('%s(%s)' % ('print', '\"Hello, layer\"'))",
        PRINTS,
        "line 1: joined parts, executed",
        true,
    );
    check(
        Python,
        "exec('{}({})'.format('print', '\"Hello, layer\"'))",
        PRINTS,
        "line 1: joined parts, executed",
        true,
    );
    check(
        Python,
        "exec('prQt(\"Hello, layer\")'.replace('Q', 'in'))",
        PRINTS,
        "line 1: replacement, executed",
        true,
    );
    check(Python, "exec 'print(\"Hello, layer\")'", PRINTS, "line 1: executed", true);
}

#[test]
fn commands_in_python_are_shell() {
    check(Python, "import os\nos.system('echo harmless && id -u')", COMMAND, "line 2: shell command", true);
    check(
        Python,
        "from os import system as s\ns('echo ha' + 'rmless && id -u')",
        COMMAND,
        "line 2: joined parts, shell command",
        true,
    );
    check(
        Python,
        "import subprocess\nsubprocess.run(['bash', '-c', 'echo harmless && id -u'])",
        COMMAND,
        "line 2: sh -c",
        true,
    );
    check(
        Python,
        "import subprocess\nsubprocess.Popen('echo harmless && id -u', shell=True)",
        COMMAND,
        "line 2: shell command",
        true,
    );
    check(
        Python,
        "import subprocess\nsubprocess.call(['ls', '-l', 'a b'])",
        "ls -l 'a b'",
        "line 2: process arguments",
        true,
    );
    check(
        Python,
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(\"Hello, layer\")'])",
        PRINTS,
        "line 2: process arguments",
        true,
    );
    check(
        Python,
        "import os\ndef go(host):\n    os.popen('ping -c 1 ' + host)",
        "ping -c 1 $X",
        "line 3: shell command",
        true,
    );
    check(
        Python,
        "import os, base64\nos.system(base64.b64decode('ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ==').decode())",
        COMMAND,
        "line 2: base64, shell command",
        true,
    );
    check(
        Python,
        "with open('/tmp/x.sh', 'w') as f:\n    f.write('''#!/bin/sh\necho harmless && id -u\n''' + '# padding to be long')",
        "#!/bin/sh\necho harmless && id -u\n# padding to be long",
        "lines 2-4: joined parts, written to a file",
        false,
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "one case a line")]
fn each_coding_of_shell_is_decoded() {
    check(
        Shell,
        "echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d | sh",
        COMMAND,
        "line 1: base64, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "printf 'ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ==' | base64 --decode | bash",
        COMMAND,
        "line 1: base64, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "base64 -d <<< ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | sh",
        COMMAND,
        "line 1: base64, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "echo 6563686f206861726d6c657373202626206964202d75 | xxd -r -p | sh",
        COMMAND,
        "line 1: hexadecimal, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "echo H4sIAAAAAAACA0tNzshXyEgsys1JLS5WUFNTyExR0C0FAKhhrLkWAAAA | base64 -d | gunzip | sh",
        COMMAND,
        "line 1: base64, gzip, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | openssl enc -d -base64 | sh",
        COMMAND,
        "line 1: base64, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "printf '\\x65\\x63\\x68\\x6f\\x20\\x68\\x61\\x72\\x6d\\x6c\\x65\\x73\\x73\\x20\\x26\\x26\\x20\\x69\\x64\\x20\\x2d\\x75' | sh",
        COMMAND,
        "line 1: escapes, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "eval $'\\x65\\x63\\x68\\x6f\\x20\\x68\\x61\\x72\\x6d\\x6c\\x65\\x73\\x73\\x20\\x26\\x26\\x20\\x69\\x64\\x20\\x2d\\x75'",
        COMMAND,
        "line 1: escapes, evaluated",
        true,
    );
    check(
        Shell,
        "echo 'u- di && sselmrah ohce' | rev | bash",
        COMMAND,
        "line 1: reversed, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "echo 'rpub unezyrff && vq -h' | tr 'A-Za-z' 'N-ZA-Mn-za-m' | bash",
        COMMAND,
        "line 1: rot13, piped to an interpreter",
        true,
    );
    check(
        Shell,
        "eval \"$(echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d)\"",
        COMMAND,
        "line 1: base64, evaluated",
        true,
    );
    check(
        Shell,
        "eval `echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d`",
        COMMAND,
        "line 1: base64, evaluated",
        true,
    );
    check(
        Shell,
        "bash <(echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d)",
        COMMAND,
        "line 1: base64, piped to an interpreter",
        true,
    );
    check(Shell, "bash -c 'echo harmless && id -u'", COMMAND, "line 1: sh -c", true);
    check(
        Shell,
        "sudo bash -c \"$(echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d)\"",
        COMMAND,
        "line 1: base64, sh -c",
        true,
    );
    check(
        Shell,
        "X='#echo harmless && id -u#'\neval \"${X:1:22}\"",
        COMMAND,
        "line 2: joined parts, evaluated",
        true,
    );
}

#[test]
fn python_in_shell_is_python() {
    check(Shell, "python3 -c 'print(\"Hello, layer\")'", PRINTS, "line 1: python in shell", true);
    check(
        Shell,
        "echo cHJpbnQoIkhlbGxvLCBsYXllciIp | base64 -d | python3",
        PRINTS,
        "line 1: base64, piped to an interpreter",
        true,
    );
}

/// The text has a layer that holds `part`, with a fate.
fn holds(language: Language, text: &str, part: &str, kind: Language, is_executed: bool) {
    let unpacked = unpack(language, text.as_bytes());
    let is_found = unpacked.layers.iter().any(|layer| {
        String::from_utf8_lossy(&layer.text).contains(part)
            && layer.language == kind
            && layer.is_executed == is_executed
    });
    assert!(is_found, "{text}\nlacks {part:?}\nhas {unpacked:#?}");
}

#[test]
fn here_documents_are_followed() {
    holds(
        Shell,
        "python3 - <<'EOF'\nprint(\"Hello, layer\")\nEOF\necho done\n",
        "print(\"Hello, layer\")",
        Python,
        true,
    );
    holds(
        Shell,
        "cat > /tmp/x.py <<'EOF'\nimport os\nprint(\"Hello, layer\")\nEOF\npython3 /tmp/x.py\n",
        "print(\"Hello, layer\")",
        Python,
        false,
    );
    holds(
        Shell,
        "cat <<EOF | base64 -d | sh\nZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ==\nEOF\n",
        "echo harmless && id -u",
        Shell,
        true,
    );
    holds(
        Shell,
        "base64 -d <<EOF | bash\nZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ==\nEOF\n",
        "echo harmless && id -u",
        Shell,
        true,
    );
    holds(
        Shell,
        "A=ZWNobyBoYXJt\nB=bGVzcyAmJiBpZCAtdQ==\necho \"$A$B\" | base64 -d | sh\n",
        "echo harmless && id -u",
        Shell,
        true,
    );
    holds(Shell, "bash <<'EOF'\necho harmless && id -u\nEOF\n", "echo harmless && id -u", Shell, true);
}

#[test]
fn layers_are_nested() {
    holds(
        Python,
        "import base64\nexec(base64.b64decode('aW1wb3J0IGJhc2U2NApleGVjKGJhc2U2NC5iNjRkZWNvZGUoJ2FXMXdiM0owSUdKaGMyVTJOQXBsZUdWaktHSmhjMlUyTkM1aU5qUmtaV052WkdVb0oyTklTbkJpYmxGdlNXdG9iR0pIZUhaTVEwSnpXVmhzYkdOcFNYQW5LU2s9Jykp'))",
        "print(\"Hello, layer\")",
        Python,
        true,
    );
    holds(
        Python,
        "import os\nos.system(\"echo cHJpbnQoIkhlbGxvLCBsYXllciIp | base64 -d | python3\")",
        "print(\"Hello, layer\")",
        Python,
        true,
    );
    holds(
        Shell,
        "python3 -c \"import os; os.system('echo ZWNobyBoYXJtbGVzcyAmJiBpZCAtdQ== | base64 -d | sh')\"",
        "echo harmless && id -u",
        Shell,
        true,
    );
}

#[test]
fn marshalled_code_is_listed() {
    holds(
        Python,
        "import marshal, base64\nexec(marshal.loads(base64.b64decode('YwAAAAAAAAAAAAAAAAMAAAAAAAAA8y4AAACXAGQAZAFsAFoAAgBlAGoBAAAAAAAAAABkAqYBAACrAQAAAAAAAAAAAQBkAVMAKQPpAAAAAE56FmVjaG8gaGFybWxlc3MgJiYgaWQgLXUpAtoCb3PaBnN5c3RlbakA8wAAAADaAXj6CDxtb2R1bGU+cgcAAAABAAAAcycAAADwAwEBAdgACYAJgAmACdgACYAChAnQCiLRACPUACPQACPQACPQACNyBQAAAA==')))",
        "echo harmless && id -u",
        Python,
        true,
    );
    holds(
        Python,
        "import marshal, zlib\nexec(marshal.loads(zlib.decompress(b'x\\x9cKf@\\x02\\xccP\\xfa\\xb3\\x1e\\x90\\x98\\xce\\x90\\xc2\\x90\\xc2\\x98\\xc3\\x10\\xc5\\xc0\\xc4\\x90\\xca\\x90\\xc5\\x08S\\x94\\xc2\\xb4\\x0c\\xc8^\\r\\xe73\\x02U\\x053h2\\xbf\\x04q\\xfc\\xaa\\xc4R\\x933\\xf2\\x152\\x12\\x8brsR\\x8b\\x8b\\x15\\xd4\\xd4\\x142S\\x14tK5\\x99n1\\xe5\\x17\\xdfb+\\xae,.I\\xcd]\\xc9\\xf0\\x19\\xa4\\xfa\\x16c\\xc5/\\x0e\\x9b\\xdc\\xfc\\x94\\xd2\\x9cT\\xbb\"v\\xb0a\\x0c\\x0c\\xc5\\xea@\\xe2\\x033##\\xe3\\r\\x06\\xce\\x060\\x041\\x98Z8/p)]dP\\xbe\\xc2\\xa0|\\x01\\x86\\x8aX\\x81j\\x01\\x19\\xb7)*')))",
        "system",
        Python,
        true,
    );
}

#[test]
fn long_literals_decode_without_a_consumer() {
    holds(
        Python,
        "data = {'x': 'aW1wb3J0IG9zCm9zLmdldHBpZCgpCnByaW50KCJIZWxsbywgbGF5ZXIgb2Ygc29tZSBsZW5ndGgiKQo='}\nrun(data)",
        "os.getpid",
        Python,
        false,
    );
    holds(
        Shell,
        "send eJzLzC3ILypRyC/myi/WS08tKchM0dDkKijKzCvRUPJIzcnJ11HISaxMLVLIT1Mozs9NVchJzUsvyVDS5AIAb7AUJA==",
        "os.getpid",
        Python,
        false,
    );
}

#[test]
fn a_binary_is_a_fact_and_no_layer() {
    let elf = format!(
        "import base64\nopen('x', 'wb').write(base64.b64decode('{}'))",
        "f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAA".repeat(4)
    );
    let unpacked = unpack(Python, elf.as_bytes());
    assert!(unpacked.facts.decoded_elf && unpacked.layers.is_empty(), "{unpacked:#?}");
}

#[test]
fn ordinary_code_has_no_layer_and_is_not_parsed() {
    for (language, text) in [
        (Python, "import re\nP = re.compile('a+')\ndef main():\n    print(P.match('aaa'))\n"),
        (Shell, "set -e\ncd /srv && exec ./server --port 80\n"),
        (Python, ""),
        (Shell, "\0\u{fffd}"),
    ] {
        let unpacked = unpack(language, text.as_bytes());
        assert_eq!(unpacked, Unpacked::default(), "{text}");
    }
}

#[test]
fn bounds_hold() {
    let quine = "s='exec(s)'\nexec(s)\n";
    let grows = "import base64\nx = 'A' * 1000\nwhile True:\n    x = x + x\n    exec(x)\n";
    let many: String = (0..500).map(|at| format!("exec('print({at}, {at})')\n")).collect();
    for text in [quine, grows, &many] {
        let unpacked = unpack(Python, text.as_bytes());
        assert!(unpacked.layers.len() <= MOST_LAYERS);
        assert!(unpacked.layers.iter().map(|layer| layer.text.len()).sum::<usize>() <= MOST_OUTPUT);
        let before = |(at, layer): (usize, &Layer)| layer.parent.is_none_or(|parent| parent < at);
        assert!(unpacked.layers.iter().enumerate().all(before));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_unpacked(bytes: Vec<u8>) {
        for language in [Python, Shell] {
            proptest::prop_assert_eq!(unpack(language, &bytes), unpack(language, &bytes));
        }
    }

    #[test]
    fn any_arrangement_of_words_is_unpacked(words in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let text: String = words.iter().filter_map(|at| WORDS.get(*at)).copied().collect();
        for language in [Python, Shell] {
            proptest::prop_assert_eq!(unpack(language, text.as_bytes()), unpack(language, text.as_bytes()));
        }
    }
}

const WORDS: [&str; 44] = [
    "exec(",
    "eval(",
    ")",
    "(",
    "[",
    "]",
    "'",
    "\"",
    "\"\"\"",
    "b'",
    "f'{",
    "}",
    "x",
    "y",
    " = ",
    "+=",
    "\n",
    "\n    ",
    "for x in ",
    ":",
    "while x:",
    "def f(x):",
    "lambda x: ",
    "[::-1]",
    "[1:-3:2]",
    "base64.b64decode(",
    "zlib.decompress(",
    "marshal.loads(",
    "''.join(",
    "chr(",
    "ord(",
    "range(9)",
    "%s",
    " % ",
    "aWQgLXUgLXUgLXU=",
    "\\x41",
    "|",
    "base64 -d",
    "sh",
    "$(",
    "<<EOF\n",
    "EOF\n",
    "echo ",
    "${x:1:2}",
];
