//! PostgreSQL: documents are `jsonb`, read by its operators. Rows have the column `v`, those of members `k` as well.
//!
//! What cannot be converted ends the whole query: a type or a pattern is asked for first, in a `CASE`.

use super::{Spot, Words};
use crate::filter::evaluate::DIGITS_LIMIT;

pub(super) struct Postgres;

fn base(spot: &Spot) -> String {
    match spot {
        Spot { base, is_row: true, .. } => format!("{base}.v"),
        Spot { base, .. } => base.clone(),
    }
}

fn json(spot: &Spot) -> String {
    match spot.path.as_slice() {
        [] => base(spot),
        [one] => format!("({} -> '{one}')", base(spot)),
        several => format!("({} #> '{{{}}}')", base(spot), several.join(",")),
    }
}

/// One octet of an IPv4 address.
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

impl Words for Postgres {
    fn scalar(&self, spot: &Spot) -> String {
        match spot.path.as_slice() {
            [one] => format!("({} ->> '{one}')", base(spot)),
            several => format!("({} #>> '{{{}}}')", base(spot), several.join(",")),
        }
    }

    fn is(&self, spot: &Spot, wanted: &'static str) -> String {
        format!("jsonb_typeof({}) = '{wanted}'", json(spot))
    }

    fn elements(&self, spot: &Spot, row: &str) -> String {
        let json = json(spot);
        format!("jsonb_array_elements(CASE jsonb_typeof({json}) WHEN 'array' THEN {json} END) AS {row}(v)")
    }

    fn members(&self, spot: &Spot, row: &str) -> (String, String) {
        let json = json(spot);
        let from =
            format!("jsonb_each(CASE jsonb_typeof({json}) WHEN 'object' THEN {json} END) AS {row}(k, v)");
        (from, format!("{row}.k"))
    }

    fn elements_of_any(&self, spot: &Spot, row: &str) -> String {
        let json = json(spot);
        format!(
            "jsonb_array_elements(CASE jsonb_typeof({json}) WHEN 'array' THEN {json} ELSE jsonb_build_array({json}) END) \
             AS {row}(v)"
        )
    }

    fn folded(&self, text: &str) -> String {
        // In the collation C, lower() knows A to Z, whatever the database's own language is.
        format!("lower(({text}) COLLATE \"C\")")
    }

    fn within(&self, text: &str, part: &str) -> String {
        format!("(strpos({text}, {part}) > 0)")
    }

    fn integer(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!("CASE WHEN {text} ~ '^-?[0-9]{{1,19}}$' THEN {text}::numeric END")
    }

    fn as_integer(&self, value: &str) -> String {
        format!("({value})::bigint")
    }

    fn by_bytes(&self, text: &str) -> String {
        format!("({text}) COLLATE \"C\"")
    }

    fn number(&self, spot: &Spot) -> String {
        format!("CASE jsonb_typeof({}) WHEN 'number' THEN {}::float8 END", json(spot), self.scalar(spot))
    }

    fn as_number(&self, parameter: &str) -> String {
        format!("{parameter}::float8")
    }

    fn truth(&self, spot: &Spot, wanted: bool) -> String {
        format!("({} = '{wanted}'::jsonb)", json(spot))
    }

    fn truth_name(&self, spot: &Spot) -> String {
        self.scalar(spot)
    }

    fn time_key(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!(
            "CASE WHEN {text} LIKE '____-__-__T__:__:__%Z' THEN rpad(rtrim({text}, 'Z') \
             || CASE strpos({text}, '.') WHEN 0 THEN '.' ELSE '' END, 29, '0') COLLATE \"C\" END"
        )
    }

    fn seconds(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!(
            "CASE WHEN {text} ~ '^-?[0-9]{{1,12}}(\\.[0-9]{{1,9}})?s$' THEN rtrim({text}, 's')::float8 END"
        )
    }

    fn any_text(&self, spot: &Spot) -> String {
        format!("CASE jsonb_typeof({}) WHEN 'string' THEN {} END", json(spot), self.scalar(spot))
    }

    fn any_number(&self, spot: &Spot) -> String {
        let text = self.scalar(spot);
        format!(
            "CASE jsonb_typeof({}) WHEN 'number' THEN {text}::float8 WHEN 'string' THEN \
             CASE WHEN {text} ~ '^[0-9]{{1,{DIGITS_LIMIT}}}$' THEN {text}::float8 END END",
            json(spot)
        )
    }

    fn is_present(&self, spot: &Spot) -> String {
        format!("({} NOT IN ('null'::jsonb, '\"\"'::jsonb, '[]'::jsonb))", json(spot))
    }

    fn in_range_v4(&self, text: &str, first: &str, last: &str) -> String {
        format!(
            "EXISTS (SELECT 1 FROM (SELECT {text}) AS x(t) WHERE CASE WHEN t ~ '^{OCTET}(\\.{OCTET}){{3}}$' \
             THEN t::inet - '0.0.0.0'::inet BETWEEN {first} AND {last} END)"
        )
    }

    fn in_range_v6(&self, text: &str, first: &str, last: &str) -> String {
        let groups = "[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4})";
        let address =
            |parameter: &str| format!("regexp_replace({parameter}, '(....)(?!$)', '\\1:', 'g')::inet");
        format!(
            "EXISTS (SELECT 1 FROM (SELECT {text}) AS x(t) WHERE CASE WHEN t ~ '^{groups}{{7}}$' \
             OR (t ~ '^({groups}{{0,6}})?::({groups}{{0,6}})?$' AND cardinality(array_remove(string_to_array(t, ':'), '')) <= 7) \
             THEN t::inet BETWEEN {} AND {} END)",
            address(first),
            address(last),
        )
    }
}
