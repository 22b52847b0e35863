//! Disguises: what attackers do to a script so that it looks like another one, and packers to a harmless one.
//!
//! Each is a static transform from text to text that keeps what the script does, as far as its syntax shows it; the same
//! seed gives the same text. Training learns from some of them, and the robustness figures come from all.
//!
//! Owns: the list of disguises and their transforms. Refuses: running anything.

mod copies;
mod padding;
mod python;
mod shell;
mod tree;
mod words;
mod wrap;

use crate::random::Random;
pub(crate) use copies::DisguisedCopy;
use evidence::Language;
use wrap::Encoding;

/// Bytes of the longest text that is disguised, or parsed for it.
pub(crate) const LONGEST_DISGUISED: usize = 256 << 10;

/// Where padding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Above the text.
    Before,
    /// Below the text.
    Behind,
    /// Half above, half below.
    Around,
}

/// One way to change a script's looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disguise {
    /// Variables, functions and classes get other names.
    Rename,
    /// No comments, no docstrings.
    Strip,
    /// Harmless comments and docstrings.
    Stuff,
    /// Strings and words in pieces: `'ab'+'cd'`, `join`, `%`, `chr`, `c"ur"l`.
    SplitStrings,
    /// Strings and words in hex, octal and Unicode escapes.
    EscapeStrings,
    /// `getattr(__import__('os'),'system')`, commands in variables.
    Indirection,
    /// Functions and branches that never run.
    DeadCode,
    /// The whole text in base64, decoded and run.
    Base64,
    /// The whole text in base32.
    Base32,
    /// The whole text in base85; Python.
    Base85,
    /// The whole text in hex.
    Hex,
    /// The whole text in ROT13.
    Rot13,
    /// The whole text from behind.
    Reversed,
    /// The whole text, each byte XORed by one constant; Python.
    Xor,
    /// The whole text in escapes, run as a literal.
    Escapes,
    /// The whole text in UTF-7 under a coding line; Python.
    CodingLine,
    /// The whole text compressed, in base64.
    Compressed,
    /// Two to five encodings, one in the other.
    Layers,
    /// In a text of the other language that runs it; see [`Disguise::language_after`].
    Carried,
    /// Padding of this many bytes.
    Padding(Place, usize),
    /// As minifiers make it: no comments, short names, joined lines.
    Minify,
    /// As packers make it: compressed, with the packer's note.
    Pack,
}

impl Disguise {
    /// All of them, padding in the sizes that the figures are taken with.
    pub const ALL: &[Self] = &[
        Self::Rename,
        Self::Strip,
        Self::Stuff,
        Self::SplitStrings,
        Self::EscapeStrings,
        Self::Indirection,
        Self::DeadCode,
        Self::Base64,
        Self::Base32,
        Self::Base85,
        Self::Hex,
        Self::Rot13,
        Self::Reversed,
        Self::Xor,
        Self::Escapes,
        Self::CodingLine,
        Self::Compressed,
        Self::Layers,
        Self::Carried,
        Self::Padding(Place::Before, 16 * 1024),
        Self::Padding(Place::Behind, 16 * 1024),
        Self::Padding(Place::Around, 64 * 1024),
        Self::Padding(Place::Around, 1024 * 1024),
        Self::Minify,
        Self::Pack,
    ];

    /// Its name in reports, as `split-strings` or `padding-around-64k`.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self {
            Self::Rename => "rename",
            Self::Strip => "strip",
            Self::Stuff => "stuff",
            Self::SplitStrings => "split-strings",
            Self::EscapeStrings => "escape-strings",
            Self::Indirection => "indirection",
            Self::DeadCode => "dead-code",
            Self::Base64 => "base64",
            Self::Base32 => "base32",
            Self::Base85 => "base85",
            Self::Hex => "hex",
            Self::Rot13 => "rot13",
            Self::Reversed => "reversed",
            Self::Xor => "xor",
            Self::Escapes => "escapes",
            Self::CodingLine => "coding-line",
            Self::Compressed => "compressed",
            Self::Layers => "layers",
            Self::Carried => "carried",
            Self::Padding(place, size) => {
                let place = match place {
                    Place::Before => "before",
                    Place::Behind => "behind",
                    Place::Around => "around",
                };
                return format!("padding-{place}-{}k", size / 1024);
            }
            Self::Minify => "minify",
            Self::Pack => "pack",
        };
        name.to_owned()
    }

    /// True if the figures apply it to texts of this label: minifying and packing is what happens to harmless code,
    /// the rest to malicious code.
    #[must_use]
    pub fn applies_to(self, is_malicious: bool) -> bool {
        is_malicious != matches!(self, Self::Minify | Self::Pack)
    }

    /// The language of the disguised text.
    #[must_use]
    pub fn language_after(self, language: Language) -> Language {
        match (self, language) {
            (Self::Carried, Language::Python) => Language::Shell,
            (Self::Carried, Language::Shell) => Language::Python,
            _ => language,
        }
    }

    /// The disguised text; nothing where the text cannot be parsed, has nothing to disguise, or the language lacks
    /// the form. `padding` holds everyday texts in the same language; [`Disguise::Padding`] alone needs them.
    #[must_use]
    pub fn apply(
        self,
        language: Language,
        text: &[u8],
        random: &mut Random,
        padding: &[&[u8]],
    ) -> Option<Vec<u8>> {
        let wrapped = |encoding, random: &mut Random| wrap::wrap(language, encoding, text, random);
        match self {
            Self::Base64 => wrapped(Encoding::Base64, random),
            Self::Base32 => wrapped(Encoding::Base32, random),
            Self::Base85 => wrapped(Encoding::Base85, random),
            Self::Hex => wrapped(Encoding::Hex, random),
            Self::Rot13 => wrapped(Encoding::Rot13, random),
            Self::Reversed => wrapped(Encoding::Reversed, random),
            Self::Xor => wrapped(Encoding::Xor, random),
            Self::Escapes => wrapped(Encoding::Escapes, random),
            Self::CodingLine => wrapped(Encoding::Utf7, random),
            Self::Compressed => wrapped(Encoding::Compressed, random),
            Self::Layers => layers(language, text, random),
            Self::Carried => wrap::carry(language, text, random),
            Self::Padding(place, size) => padding::pad(language, text, place, size, padding, random),
            Self::Pack => wrap::pack(language, text, random),
            _ => {
                let text = std::str::from_utf8(text).ok()?;
                let changed = match language {
                    Language::Python => self.in_python(text, random),
                    Language::Shell => self.in_shell(text, random),
                };
                changed.map(String::into_bytes)
            }
        }
    }

    fn in_python(self, text: &str, random: &mut Random) -> Option<String> {
        match self {
            Self::Rename => python::rename(text, random),
            Self::Strip => python::strip(text),
            Self::Stuff => python::stuff(text, random),
            Self::SplitStrings => python::split_strings(text, random),
            Self::EscapeStrings => python::escape_strings(text, random),
            Self::Indirection => python::indirection(text, random),
            Self::DeadCode => python::add_dead_code(text, random),
            Self::Minify => python::minify(text, random),
            _ => None,
        }
    }

    fn in_shell(self, text: &str, random: &mut Random) -> Option<String> {
        match self {
            Self::Rename => shell::rename(text, random),
            Self::Strip => shell::strip(text),
            Self::Stuff => shell::stuff(text, random),
            Self::SplitStrings => shell::split_words(text, random),
            Self::EscapeStrings => shell::escape_words(text, random),
            Self::Indirection => shell::indirection(text, random),
            Self::DeadCode => shell::add_dead_code(text, random),
            Self::Minify => shell::minify(text, random),
            _ => None,
        }
    }
}

fn layers(language: Language, text: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let encodings =
        [Encoding::Base64, Encoding::Compressed, Encoding::Hex, Encoding::Reversed, Encoding::Base32];
    let mut out = text.to_vec();
    for _ in 0..2 + random.below(4) {
        let encoding = encodings.get(random.below(encodings.len())).copied()?;
        out = wrap::wrap(language, encoding, &out, random)?;
    }
    Some(out)
}

fn indent(text: &str, by: &str) -> String {
    let line = |line: &str| if line.trim().is_empty() { "\n".to_owned() } else { format!("{by}{line}\n") };
    text.lines().map(line).collect()
}
