//! A PostgreSQL server of the tests' own, and databases in it. It is started when the first test needs it and ends with
//! the tests, however those end.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Sends the server the signals that standard input asks for and starts it again, until standard input ends, which it does
/// with the process that holds the other end. Its arguments are the folder, that of the programs, and what makes a command
/// another user's.
const KEEP: &str = r#"
folder=$1 programs=$2 fsync=$3
shift 3
start() {
    "$@" "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=200 -c fsync=$fsync &
    server=$!
}
start "$@"
while read -r word; do
    case $word in
    start) start "$@" ;;
    *) kill -"$word" $server; wait $server ;;
    esac
    echo done >"$folder/answer"
done
kill -QUIT $server
wait $server
rm -rf "$folder"
"#;

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    /// Its standard input keeps the server alive.
    keeper: Mutex<Child>,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The address of a new, empty database in the server that all tests of this process share.
pub(crate) fn new_database() -> String {
    SERVER.get_or_init(Server::start).new_database()
}

impl Server {
    /// Makes a data folder and starts a server in it. A test without one fails: PostgreSQL is half of what is tested.
    pub(crate) fn start() -> Self {
        // Nobody pulls the plug on a test; a process that is killed loses nothing that the kernel has.
        Self::start_with("off")
    }

    /// The same with `fsync` on or off.
    pub(crate) fn start_with(fsync: &str) -> Self {
        let programs = programs();
        // The path of a Unix socket has 107 bytes at the most.
        let folder = tempfile::Builder::new().prefix("urva-pg").tempdir_in("/tmp").unwrap().keep();
        let prefix = other_user(&folder);
        let words = [prefix.clone(), vec![programs.join("initdb").to_str().unwrap().to_owned()]].concat();
        let mut initdb = Command::new(&words[0]);
        initdb.args(&words[1..]).arg("-D").arg(folder.join("data"));
        initdb.args(["--no-sync", "--auth=trust", "--username=urva", "--encoding=UTF8", "--locale=C.UTF-8"]);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(folder.join("log")).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEP, "sh"])
            .args([&folder, &programs])
            .arg(fsync)
            .args(if prefix.is_empty() { vec!["env".to_owned()] } else { prefix })
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { folder, keeper: Mutex::new(keeper) };
        server.wait();
        server
    }

    fn wait(&self) {
        let ready = || self.run("SELECT 1").is_ok();
        let started = (0..600).any(|_| {
            ready() || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(started, "the PostgreSQL server of the tests did not start: {log}");
    }

    /// Ends the server at once, as an operator would who is in a hurry.
    pub(crate) fn stop(&self) {
        self.tell("INT");
    }

    /// Ends all its processes without a chance to do anything.
    pub(crate) fn kill(&self) {
        // A postmaster that is killed by itself leaves the others running for a moment, and the next one refuses to start.
        self.tell("QUIT");
    }

    pub(crate) fn start_again(&self) {
        self.tell("start");
        self.wait();
    }

    fn tell(&self, word: &str) {
        let answer = self.folder.join("answer");
        let mut keeper = self.keeper.lock().unwrap();
        let input = keeper.stdin.as_mut().unwrap();
        writeln!(input, "{word}").unwrap();
        while fs::remove_file(&answer).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn new_database(&self) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE DATABASE {name}")).unwrap();
        format!("postgres:///{name}?host={}&user=urva", self.folder.display())
    }

    /// Runs a statement through PostgreSQL's own client.
    pub(crate) fn run(&self, statement: &str) -> Result<String, String> {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-X", "-q", "-t", "-A", "-U", "urva", "-d", "postgres", "-h"]).arg(&self.folder);
        let done = psql.args(["-c", statement]).output().unwrap();
        match done.status.success() {
            true => Ok(String::from_utf8(done.stdout).unwrap().trim().to_owned()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }
}

/// Where the server's programs are; Debian keeps those that are no user's business out of the path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().rev().chain(std::env::split_paths(&in_path));
    all.into_iter()
        .find(|folder| folder.join("initdb").exists())
        .expect("no PostgreSQL server to test with: run `scripts/install-tools test`")
}

/// What runs a command as the user `postgres`: the server refuses to run as root. Nothing where the tests are not root's.
fn other_user(folder: &Path) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let owner = Command::new("chown").arg("postgres").arg(folder).status().unwrap();
    assert!(owner.success(), "there is no user postgres: run `scripts/install-tools test`");
    let words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
    words.map(str::to_owned).to_vec()
}
