//! SQLite: documents are texts, read by `json_extract`, `json_type` and `json_each` (<https://sqlite.org/json1.html>).
//!
//! Rows are those of `json_each`, with the columns `key`, `value` and `type`. What is not JSON, as the value of a text's row,
//! must never come to its functions, since they refuse it with an error: hence `CASE`, of which SQLite evaluates only the branch it takes.

use super::{Spot, Words};
use crate::filter::evaluate::DIGITS_LIMIT;

pub(super) struct Sqlite;

/// JSON that `json_extract` may look into.
fn group(spot: &Spot) -> String {
    match spot {
        Spot { base, is_row: true, .. } => format!("CASE {base}.type WHEN 'object' THEN {base}.value END"),
        Spot { base, .. } => base.clone(),
    }
}

fn json_path(spot: &Spot) -> String {
    format!("'$.{}'", spot.path.join("."))
}

fn kind(spot: &Spot) -> String {
    match spot {
        Spot { base, is_row: true, path } if path.is_empty() => format!("{base}.type"),
        _ => format!("json_type({}, {})", group(spot), json_path(spot)),
    }
}

impl Words for Sqlite {
    fn scalar(&self, spot: &Spot) -> String {
        match spot {
            Spot { base, is_row: true, path } if path.is_empty() => format!("{base}.value"),
            _ => format!("json_extract({}, {})", group(spot), json_path(spot)),
        }
    }

    fn is(&self, spot: &Spot, wanted: &'static str) -> String {
        format!("{} = '{wanted}'", kind(spot))
    }

    fn elements(&self, spot: &Spot, row: &str) -> String {
        format!("json_each({}, {}) {row}", group(spot), json_path(spot))
    }

    fn members(&self, spot: &Spot, row: &str) -> (String, String) {
        let from = match spot {
            Spot { path, .. } if path.is_empty() => format!("json_each({}) {row}", group(spot)),
            _ => format!("json_each({}, {}) {row}", group(spot), json_path(spot)),
        };
        (from, format!("{row}.key"))
    }

    fn elements_of_any(&self, spot: &Spot, row: &str) -> String {
        // Only ever of a row: values of any type stand under a key.
        let Spot { base, .. } = spot;
        format!(
            "json_each(CASE {base}.type WHEN 'array' THEN {base}.value WHEN 'object' THEN '[' || {base}.value || ']' \
             WHEN 'true' THEN '[true]' WHEN 'false' THEN '[false]' ELSE json_array({base}.value) END) {row}"
        )
    }

    fn folded(&self, text: &str) -> String {
        // Without the ICU extension, which urva does not build, lower() knows A to Z.
        format!("lower({text})")
    }

    fn within(&self, text: &str, part: &str) -> String {
        format!("(instr({text}, {part}) > 0)")
    }

    fn integer(&self, spot: &Spot) -> String {
        format!("CAST({} AS INTEGER)", self.scalar(spot))
    }

    fn as_integer(&self, value: &str) -> String {
        value.to_owned()
    }

    fn by_bytes(&self, text: &str) -> String {
        format!("CAST({text} AS TEXT)")
    }

    fn number(&self, spot: &Spot) -> String {
        format!(
            "CASE WHEN {} IN ('integer', 'real') THEN CAST({} AS REAL) END",
            kind(spot),
            self.scalar(spot)
        )
    }

    fn as_number(&self, parameter: &str) -> String {
        format!("CAST({parameter} AS REAL)")
    }

    fn truth(&self, spot: &Spot, wanted: bool) -> String {
        format!("({} = '{wanted}')", kind(spot))
    }

    fn truth_name(&self, spot: &Spot) -> String {
        format!("NULLIF({}, 'null')", kind(spot))
    }

    fn time_key(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!(
            "CASE WHEN {text} GLOB '????-??-??T??:??:??*Z' THEN substr(rtrim({text}, 'Z') \
             || CASE instr({text}, '.') WHEN 0 THEN '.' ELSE '' END || '000000000', 1, 29) END"
        )
    }

    fn seconds(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!("CASE WHEN {text} GLOB '*[0-9]s' THEN CAST(rtrim({text}, 's') AS REAL) END")
    }

    fn any_text(&self, spot: &Spot) -> String {
        format!("CASE {} WHEN 'text' THEN {} END", kind(spot), self.scalar(spot))
    }

    fn any_number(&self, spot: &Spot) -> String {
        let (kind, value) = (kind(spot), self.scalar(spot));
        format!(
            "CASE {kind} WHEN 'integer' THEN CAST({value} AS REAL) WHEN 'real' THEN {value} WHEN 'text' THEN \
             CASE WHEN length({value}) BETWEEN 1 AND {DIGITS_LIMIT} AND {value} NOT GLOB '*[^0-9]*' \
             THEN CAST({value} AS REAL) END END"
        )
    }

    fn is_present(&self, spot: &Spot) -> String {
        let (kind, value) = (kind(spot), self.scalar(spot));
        format!(
            "({kind} <> 'null' AND NOT ({kind} = 'text' AND {value} = '') AND NOT ({kind} = 'array' AND {value} = '[]'))"
        )
    }

    fn in_range_v4(&self, text: &str, first: &str, last: &str) -> String {
        // `10.1.2.3` is read as the list `[10,1,2,3]`, which JSON refuses with leading zeros or empty numbers.
        let part = |index: usize| format!("json_extract(j, '$[{index}]')");
        let parts: Vec<String> = (0..4).map(|index| format!("{} <= 255", part(index))).collect();
        format!(
            "EXISTS (SELECT 1 FROM (SELECT CASE WHEN t NOT GLOB '*[^0-9.]*' THEN '[' || replace(t, '.', ',') || ']' END AS j \
             FROM (SELECT {text} AS t)) WHERE CASE WHEN json_valid(j) THEN json_array_length(j) = 4 AND {} \
             AND {} * 16777216 + {} * 65536 + {} * 256 + {} BETWEEN {first} AND {last} END)",
            parts.join(" AND "),
            part(0),
            part(1),
            part(2),
            part(3),
        )
    }

    fn in_range_v6(&self, text: &str, first: &str, last: &str) -> String {
        // Groups before and after `::` as two lists; the address is their digits, with as many zeros between as are missing.
        let list = |half: &str| {
            format!("CASE {half} WHEN '' THEN '[]' ELSE '[\"' || replace({half}, ':', '\",\"') || '\"]' END")
        };
        let odd = |half: &str| {
            format!("EXISTS (SELECT 1 FROM json_each({half}) WHERE length(value) NOT BETWEEN 1 AND 4)")
        };
        let digits = |half: &str| {
            format!(
                "COALESCE((SELECT group_concat(substr('000' || lower(value), -4), '') FROM json_each({half})), '')"
            )
        };
        format!(
            "EXISTS (SELECT 1 FROM (SELECT p, {} AS l, {} AS r FROM (SELECT instr(t, '::') AS p, \
             CASE instr(t, '::') WHEN 0 THEN t ELSE substr(t, 1, instr(t, '::') - 1) END AS a, \
             CASE instr(t, '::') WHEN 0 THEN '' ELSE substr(t, instr(t, '::') + 2) END AS b \
             FROM (SELECT CASE WHEN t NOT GLOB '*[^0-9a-fA-F:]*' THEN t END AS t FROM (SELECT {text} AS t)))) \
             WHERE CASE p WHEN 0 THEN json_array_length(l) = 8 ELSE json_array_length(l) + json_array_length(r) <= 7 END \
             AND NOT {} AND NOT {} AND {} || substr('{}', 1, 32 - 4 * (json_array_length(l) + json_array_length(r))) || {} \
             BETWEEN {first} AND {last})",
            list("a"),
            list("b"),
            odd("l"),
            odd("r"),
            digits("l"),
            "0".repeat(32),
            digits("r"),
        )
    }
}
