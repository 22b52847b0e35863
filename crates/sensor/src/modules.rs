//! Where `python3 -m NAME` finds its file.
//!
//! Owns: the order in which CPython and PyPy search for modules, as paths to try.
//! Refuses: looking whether a file is there. The caller opens the paths one after another, inside the root of the
//! process, and takes the first that is a file.
//!
//! Blind spots: modules inside zip archives; folders that `.pth` files, `sitecustomize` and `pyvenv.cfg` add;
//! modules that exist as bytecode only, as an extension, or frozen into the interpreter; and a package without
//! `__init__.py`, which gives way to a module of its name that comes later, but is given first here.

use crate::command_line::ModuleSearch;
use evidence::Untrusted;

/// Most paths that are given for one name.
pub const CANDIDATES_MAX: usize = 64;
/// Longest path that is given, in bytes; the kernel opens none longer.
const PATH_MAX: usize = 4095;
/// Most entries that are followed of `PYTHONPATH`, and most of `PATH`.
const ENTRIES_MAX: usize = 12;
/// Versions that are tried where the name of the interpreter does not tell, the commonest first.
const VERSIONS: [&str; 9] = ["3.11", "3.12", "3.13", "3.10", "3.9", "3.14", "3.8", "3.7", "3.6"];
/// Prefixes under which distributions and Docker's official images install Python.
const PREFIXES: [&[u8]; 2] = [b"/usr/local", b"/usr"];

/// All that decides where a module is looked for. Paths are those inside the container.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The dotted name, as it was given to `-m`.
    pub name: &'a [u8],
    /// What the options say.
    pub options: ModuleSearch,
    /// Working directory of the process, absolute.
    pub working_directory: &'a [u8],
    /// Environment of the process, `NAME=value`.
    pub environment: &'a [Untrusted],
    /// Resolved path of the interpreter, absolute.
    pub executable: &'a [u8],
    /// The name by which the interpreter was called: a virtual environment shows in it, since its interpreter is a
    /// link that the resolved path has lost.
    pub argv0: &'a [u8],
}

/// The files that may hold the module, in the order in which Python would find them: at most
/// [`CANDIDATES_MAX`] absolute paths. Empty for a name that no file can have.
pub fn candidates(search: &Search<'_>) -> Vec<Vec<u8>> {
    let Some(path) = relative_path(search.name) else { return Vec::new() };
    let files = [[&path[..], b"/__main__.py"].concat(), [&path[..], b".py"].concat()];
    in_each(&folders(search), &files)
}

/// The files of the package around the module, in the order of [`candidates`]; empty for a module that is in none.
///
/// Python executes the package before the module: `python3 -m NAME.py` executes `NAME.py` in this way, and only
/// then complains that it is no package.
pub fn enclosing_package(search: &Search<'_>) -> Vec<Vec<u8>> {
    let Some(path) = relative_path(search.name) else { return Vec::new() };
    let Some(last) = path.iter().rposition(|byte| *byte == b'/') else { return Vec::new() };
    let files = [[&path[..last], b"/__init__.py"].concat(), [&path[..last], b".py"].concat()];
    in_each(&folders(search), &files)
}

fn in_each(folders: &[Vec<u8>], files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let paths = folders.iter().flat_map(|folder| files.iter().map(move |file| join(folder, file)));
    paths.filter(|path| path.len() <= PATH_MAX && !path.contains(&0)).take(CANDIDATES_MAX).collect()
}

/// `a.b` as `a/b`. Python takes names that are no identifiers (`my-tool`), but no part of one can be empty or
/// hold a slash, so that the path stays below its folder.
fn relative_path(name: &[u8]) -> Option<Vec<u8>> {
    let is_part = |part: &[u8]| !part.is_empty() && !part.contains(&b'/') && !part.contains(&0);
    let sound = name.len() <= PATH_MAX && name.split(|byte| *byte == b'.').all(is_part);
    sound.then(|| name.iter().map(|byte| if *byte == b'.' { b'/' } else { *byte }).collect())
}

/// `sys.path`, as far as it can be told from outside: absolute, each folder once.
fn folders(search: &Search<'_>) -> Vec<Vec<u8>> {
    let variable = |name| variable(search.environment, name);
    let python_variable = |name| if search.options.without_environment { None } else { variable(name) };
    let mut folders = Vec::new();
    let safe = python_variable(b"PYTHONSAFEPATH").is_some_and(|value| !value.is_empty());
    if !search.options.without_working_directory && !safe {
        folders.push(search.working_directory.to_vec());
    }
    let listed = python_variable(b"PYTHONPATH").filter(|value| !value.is_empty()).into_iter();
    for entry in listed.flat_map(|value| value.split(|byte| *byte == b':')).take(ENTRIES_MAX) {
        folders.push(join(search.working_directory, entry));
    }
    let home = python_variable(b"PYTHONHOME").and_then(|value| value.split(|byte| *byte == b':').next());
    let versions = versions(search);
    let bases = bases(search, home);
    for version in &versions {
        for base in &bases {
            folders.push([base, &b"/lib/"[..], version].concat());
        }
    }
    if !search.options.without_site {
        let user = variable(b"HOME").filter(|_| !search.options.without_user_site);
        site_folders(user, &environments(search), &bases, &versions, &mut folders);
    }
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|folder| folder.starts_with(b"/") && seen.insert(folder.clone()));
    folders
}

/// Where installed packages lie: the user's own, the virtual environment's, the interpreter's, Debian's.
fn site_folders(
    user: Option<&[u8]>,
    environments: &[Vec<u8>],
    bases: &[Vec<u8>],
    versions: &[Vec<u8>],
    folders: &mut Vec<Vec<u8>>,
) {
    for version in versions {
        if let Some(home) = user {
            folders.push([home, b"/.local/lib/", version, b"/site-packages"].concat());
        }
        for prefix in environments.iter().chain(bases) {
            folders.push([&prefix[..], b"/lib/", version, b"/site-packages"].concat());
        }
        folders.push([b"/usr/local/lib/", &version[..], b"/dist-packages"].concat());
    }
    folders.push(b"/usr/lib/python3/dist-packages".to_vec());
}

/// Prefixes that may hold the standard library.
fn bases(search: &Search<'_>, home: Option<&[u8]>) -> Vec<Vec<u8>> {
    let own = prefix(search.executable);
    let mut bases: Vec<Vec<u8>> = home.map(<[u8]>::to_vec).into_iter().chain(own).collect();
    bases.extend(PREFIXES.iter().map(|prefix| prefix.to_vec()));
    bases
}

/// Prefixes of virtual environments: that of the link by which the interpreter was called, which a name without a
/// slash leaves to `PATH`.
fn environments(search: &Search<'_>) -> Vec<Vec<u8>> {
    if search.argv0.contains(&b'/') {
        return prefix(&join(search.working_directory, search.argv0)).into_iter().collect();
    }
    let path = variable(search.environment, b"PATH").unwrap_or_default();
    let entries = path.split(|byte| *byte == b':').take(ENTRIES_MAX);
    let is_system = |folder: &[u8]| {
        [&b"/usr/local"[..], b"/usr", b""].iter().any(|prefix| folder.strip_prefix(*prefix) == Some(b""))
    };
    let prefixes = entries.filter_map(|entry| prefix(&join(entry, search.argv0)));
    prefixes.filter(|folder| !is_system(folder)).collect()
}

/// `/opt/x` of `/opt/x/bin/python3`.
fn prefix(executable: &[u8]) -> Option<Vec<u8>> {
    let folder = parent(executable)?;
    (folder.rsplit(|byte| *byte == b'/').next() == Some(b"bin")).then(|| parent(folder))?.map(<[u8]>::to_vec)
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|slash| &path[..slash])
}

/// Names of the folders below `lib`: one where the interpreter's name tells its version, else all.
fn versions(search: &Search<'_>) -> Vec<Vec<u8>> {
    let named = [search.executable, search.argv0].into_iter().find_map(version);
    named.map_or_else(
        || VERSIONS.iter().map(|version| format!("python{version}").into()).collect(),
        |v| vec![v],
    )
}

/// `python3.11` of `/usr/bin/python3.11`, `pypy3.10` of `/usr/bin/pypy3.10-c`.
fn version(executable: &[u8]) -> Option<Vec<u8>> {
    let name = executable.rsplit(|byte| *byte == b'/').next()?;
    let digits = name.iter().position(u8::is_ascii_digit)?;
    if !matches!(&name[..digits], b"python" | b"pypy") {
        return None;
    }
    let length = name[digits..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let whole = name[digits..digits + length].contains(&b'.');
    whole.then(|| name[..digits + length].to_vec())
}

/// `path` where it is absolute, else below `folder`; an empty path is the folder itself.
fn join(folder: &[u8], path: &[u8]) -> Vec<u8> {
    match path {
        [b'/', ..] => path.to_vec(),
        b"" => folder.to_vec(),
        _ => [folder.strip_suffix(b"/").unwrap_or(folder), b"/", path].concat(),
    }
}

/// The first value of an environment variable, as the C library reads it.
fn variable<'a>(environment: &'a [Untrusted], name: &[u8]) -> Option<&'a [u8]> {
    environment.iter().find_map(|entry| entry.0.strip_prefix(name)?.strip_prefix(b"="))
}
