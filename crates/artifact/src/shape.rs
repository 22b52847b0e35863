//! Files that hold code among other things: notebooks and `.pth` files.

use crate::item::Note;
use serde::Deserialize;

/// What of a file is code.
pub(crate) enum Shape {
    /// All of it.
    Whole,
    /// Only this.
    Part(Vec<u8>, Note),
    /// Nothing.
    Nothing,
}

/// Finds the code in a whole file, by its name.
pub(crate) fn shape(name: &[u8], text: &[u8]) -> Shape {
    let name = name.to_ascii_lowercase();
    if name.ends_with(b".pth") {
        return import_lines(text);
    }
    if name.ends_with(b".ipynb") {
        // What is no notebook is judged as it is.
        return cells(text).map_or(Shape::Whole, |code| Shape::Part(code, Note::Cells));
    }
    Shape::Whole
}

/// Python executes lines that begin with `import` and a blank; all others are paths. See its module `site`.
fn import_lines(text: &[u8]) -> Shape {
    let is_code = |line: &&[u8]| line.starts_with(b"import ") || line.starts_with(b"import\t");
    if !text.split(|&byte| byte == b'\n').any(|line| is_code(&line)) {
        return Shape::Nothing;
    }
    let lines: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').map(|line| if is_code(&line) { line } else { b"" }).collect();
    Shape::Part(lines.join(&b'\n'), Note::ImportLines)
}

#[derive(Deserialize)]
struct Notebook {
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    cell_type: String,
    source: Source,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Text(String),
    Lines(Vec<String>),
}

fn cells(text: &[u8]) -> Option<Vec<u8>> {
    let notebook: Notebook = serde_json::from_slice(text).ok()?;
    let mut code = String::new();
    for cell in notebook.cells.into_iter().filter(|cell| cell.cell_type == "code") {
        match cell.source {
            Source::Text(text) => code += &text,
            Source::Lines(lines) => code += &lines.concat(),
        }
        code.push('\n');
    }
    Some(code.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expected: Option<&str>) {
        match (shape(name.as_bytes(), text.as_bytes()), expected) {
            (Shape::Part(code, _), Some(expected)) => assert_eq!(String::from_utf8_lossy(&code), expected),
            (Shape::Whole, Some(expected)) => assert_eq!(text, expected),
            (Shape::Nothing, None) => {}
            _ => panic!("{name}: {text}"),
        }
    }

    #[test]
    fn only_import_lines_of_a_pth_file_are_code() {
        check("a.pth", "/path\nimport os; os.x()\n/b\n", Some("\nimport os; os.x()\n\n"));
        check("a.pth", "/path\nimportant\n", None);
        check("a.py", "/path\n", Some("/path\n"));
    }

    #[test]
    fn the_code_cells_of_a_notebook_are_code() {
        let text = r##"{"cells":[{"cell_type":"markdown","source":["# a"]},
            {"cell_type":"code","source":["x = 1\n","y = 2"]},{"cell_type":"code","source":"!id"}]}"##;
        check("a.ipynb", text, Some("x = 1\ny = 2\n!id\n"));
        check("a.ipynb", "import os", Some("import os"));
    }
}
