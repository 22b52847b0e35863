//! What `docs/filter.md` shows is true.

use crate::samples::finding;
use std::path::Path;
use store::filter::Filter;

#[test]
fn each_example_of_the_reference_is_a_filter() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.md");
    let text = std::fs::read_to_string(path).unwrap();
    let code = text
        .lines()
        .filter_map(|line| line.strip_prefix("    state = "))
        .map(|line| format!("state = {line}"));
    let in_line = text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    let is_filter = |span: &String| {
        let (operators, all_there) =
            ([" = ", " > ", " >= ", ":\"", ":*", "inIpRange("], ["LIST", "RANGE", "…"]);
        let first = |letter: char| letter.is_ascii_lowercase() || letter == '`';
        span.starts_with(first)
            && operators.iter().any(|operator| span.contains(operator))
            && !all_there.iter().any(|word| span.contains(word))
    };
    let examples: Vec<String> = code.chain(in_line.filter(is_filter)).collect();
    assert!(examples.len() > 25, "{examples:#?}");
    let filters: Vec<Filter> = examples
        .iter()
        .filter(|example| !example.starts_with("a != b"))
        .map(|example| Filter::parse(example).unwrap_or_else(|error| panic!("{example}: {error}")))
        .collect();
    assert!(filters.iter().filter(|filter| filter.matches(&finding())).count() >= 10);
}
