use super::*;
use evidence::Language::{Python, Shell};

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
fn base64_that_is_executed() {
    check(Python, "import base64\nexec(base64.b64decode('cHJpbnQoIkhlbGxvIik='))", "print(\"Hello\")", "line 2: base64, executed", true);
    check(Shell, "echo cHJpbnQoIkhlbGxvIik= | base64 -d | python3", "print(\"Hello\")", "line 1: base64, piped to an interpreter", true);
}
