//! Flows: which values of a Python script reach which calls, as far as names and statements tell.
//!
//! A name that is assigned from a source (what the network sent, what was decoded, a secret) carries it on; a call
//! that executes, runs, sends or stores it is a sink. No branch, no object and no second pass: it is a
//! reader's glance, not a proof.

use super::{HashedMap, hash, join};
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// What a value holds, one bit each.
pub(super) type Sources = u8;

/// What came over the network.
pub(super) const NETWORK: Sources = 1;
/// What was decoded or decrypted.
pub(super) const DECODED: Sources = 2;
/// Credentials, tokens, keys.
pub(super) const SECRET: Sources = 4;
/// What describes the machine and its user.
pub(super) const MACHINE: Sources = 8;
/// The environment.
pub(super) const ENVIRONMENT: Sources = 16;
/// What the keyboard, the screen or the clipboard shows.
pub(super) const DESKTOP: Sources = 32;

/// What a call does with a value, one bit each.
pub(super) type Sinks = u8;

/// Executes it as Python.
pub(super) const EXECUTES: Sinks = 1;
/// Runs it as a command.
pub(super) const RUNS: Sinks = 2;
/// Sends it away.
pub(super) const SENDS: Sinks = 4;
/// Writes it to a file.
pub(super) const STORES: Sinks = 8;

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Flow {
    /// What came over the network is executed.
    NetworkExecuted,
    /// What came over the network is run as a command.
    NetworkRun,
    /// What came over the network is written to a file.
    NetworkStored,
    /// Decoded text is executed.
    DecodedExecuted,
    /// Decoded text is run as a command.
    DecodedRun,
    /// Decoded data is written to a file.
    DecodedStored,
    /// Secrets are sent away.
    SecretSent,
    /// The description of the machine is sent away.
    MachineSent,
    /// The environment is sent away.
    EnvironmentSent,
    /// What the desktop shows is sent away.
    DesktopSent,
}

const FLOWS: &[(Sources, Sinks, Flow)] = &[
    (NETWORK, EXECUTES, Flow::NetworkExecuted),
    (NETWORK, RUNS, Flow::NetworkRun),
    (NETWORK, STORES, Flow::NetworkStored),
    (DECODED, EXECUTES, Flow::DecodedExecuted),
    (DECODED, RUNS, Flow::DecodedRun),
    (DECODED, STORES, Flow::DecodedStored),
    (SECRET, SENDS, Flow::SecretSent),
    (MACHINE, SENDS, Flow::MachineSent),
    (ENVIRONMENT, SENDS, Flow::EnvironmentSent),
    (DESKTOP, SENDS, Flow::DesktopSent),
];

/// What names do, by their dotted path; one that begins with a dot is an attribute of anything.
const NAMES: &[(Sources, Sinks, &[&str])] = &[
    (
        NETWORK,
        SENDS,
        &[
            "requests.get",
            "requests.post",
            "requests.put",
            "requests.request",
            "requests.patch",
            "urllib.request.urlopen",
            "urllib2.urlopen",
            "urllib.urlopen",
            "httpx.get",
            "httpx.post",
            "httpx.request",
            "httpx.stream",
            "cloudscraper",
            "requests.Session",
            "urllib.request.Request",
            "urllib2.Request",
            "http.client.HTTPSConnection",
            "http.client.HTTPConnection",
            "urllib3.PoolManager",
            "aiohttp.ClientSession",
            "pycurl.Curl",
            ".urlopen",
        ],
    ),
    (
        NETWORK,
        0,
        &[
            ".recv",
            ".recvfrom",
            ".recv_into",
            ".getresponse",
            "urllib.request.urlretrieve",
            "wget.download",
            ".makefile",
        ],
    ),
    (
        0,
        SENDS,
        &[
            ".sendall",
            ".send",
            ".sendto",
            ".sendmail",
            ".send_message",
            ".post",
            ".storbinary",
            ".upload_file",
            ".send_document",
            ".putrequest",
            "dns.resolver.resolve",
            "dns.resolver.query",
            "socket.gethostbyname",
            "socket.getaddrinfo",
            "urllib.parse.urlencode",
            "webbrowser.open",
            ".put_object",
            "DiscordWebhook",
            "discord_webhook.DiscordWebhook",
            "dhooks.Webhook",
            ".execute_webhook",
            ".urlretrieve",
        ],
    ),
    (
        DECODED,
        0,
        &[
            "base64.b64decode",
            "base64.b32decode",
            "base64.b85decode",
            "base64.a85decode",
            "base64.b16decode",
            "base64.decodebytes",
            "base64.decodestring",
            "base64.urlsafe_b64decode",
            "base64.standard_b64decode",
            "binascii.unhexlify",
            "binascii.a2b_base64",
            "binascii.a2b_hex",
            "zlib.decompress",
            "gzip.decompress",
            "lzma.decompress",
            "bz2.decompress",
            "marshal.loads",
            "codecs.decode",
            "pickle.loads",
            "bytes.fromhex",
            "bytearray.fromhex",
            ".fromhex",
            ".b64decode",
            ".decrypt",
            ".unhexlify",
            ".decompress",
            "chr",
        ],
    ),
    (
        0,
        EXECUTES,
        &[
            "exec",
            "eval",
            "compile",
            "execfile",
            "builtins.exec",
            "builtins.eval",
            "builtins.compile",
            "__builtins__.exec",
            "__builtins__.eval",
            "types.FunctionType",
            "runpy.run_path",
            ".exec",
            ".eval",
            "imp.load_source",
        ],
    ),
    (
        0,
        RUNS,
        &[
            "os.system",
            "os.popen",
            "subprocess.run",
            "subprocess.Popen",
            "subprocess.call",
            "subprocess.check_output",
            "subprocess.check_call",
            "subprocess.getoutput",
            "subprocess.getstatusoutput",
            "commands.getoutput",
            "os.execv",
            "os.execve",
            "os.execl",
            "os.execvp",
            "os.spawnl",
            "os.spawnv",
            "os.startfile",
            "pty.spawn",
            "asyncio.create_subprocess_shell",
            "asyncio.create_subprocess_exec",
            "ctypes.CFUNCTYPE",
            "ctypes.memmove",
            "os.popen2",
            "os.popen3",
            ".create_subprocess_shell",
        ],
    ),
    (0, STORES, &[".write", ".write_bytes", ".write_text", ".writelines"]),
    (
        MACHINE,
        0,
        &[
            "socket.gethostname",
            "platform.node",
            "platform.uname",
            "platform.platform",
            "platform.system",
            "platform.release",
            "getpass.getuser",
            "os.getlogin",
            "os.uname",
            "os.getcwd",
            "uuid.getnode",
            "socket.getfqdn",
            "pwd.getpwuid",
            "os.getuid",
            "psutil.net_if_addrs",
            "os.path.expanduser",
        ],
    ),
    (ENVIRONMENT, 0, &["os.environ", "os.environ.items", "os.environ.copy"]),
    (
        DESKTOP,
        0,
        &[
            "pyperclip.paste",
            "PIL.ImageGrab.grab",
            "pyautogui.screenshot",
            "pynput.keyboard.Listener",
            "mss.mss",
            ".grab_screen",
            "keyboard.on_press",
            "keyboard.hook",
            "cv2.VideoCapture",
            "sounddevice.rec",
            "win32clipboard.GetClipboardData",
        ],
    ),
];

/// Marks in strings that name secrets.
const SECRETS: &[&[u8]] = &[
    b".aws",
    b".ssh",
    b"id_rsa",
    b"/etc/shadow",
    b"/etc/passwd",
    b"serviceaccount",
    b".kube",
    b".docker/config",
    b".netrc",
    b".npmrc",
    b".pypirc",
    b"git-credentials",
    b"login data",
    b"cookies",
    b"wallet",
    b"metamask",
    b"leveldb",
    b"local state",
    b"169.254.169.254",
    b"metadata.google",
    b"/environ",
    b".env",
    b"_history",
    b"logins.json",
    b"key4.db",
    b"web data",
    b"exodus",
    b"tdata",
];

/// What a name does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role {
    pub(super) sources: Sources,
    pub(super) sinks: Sinks,
}

static ROLES: LazyLock<HashedMap<Role>> = LazyLock::new(|| {
    let mut roles = HashedMap::<Role>::default();
    for &(sources, sinks, names) in NAMES {
        for name in names {
            let key = match name.strip_prefix('.') {
                Some(attribute) => hash(super::python::ATTRIBUTE, attribute.as_bytes()),
                None => name
                    .split('.')
                    .map(|part| hash(super::python::NAME, part.as_bytes()))
                    .reduce(join)
                    .unwrap_or(0),
            };
            let role = roles.entry(key).or_default();
            role.sources |= sources;
            role.sinks |= sinks;
        }
    }
    roles
});

/// What a name with this hash does.
pub(super) fn role(hash: u64) -> Option<Role> {
    ROLES.get(&hash).copied()
}

static SECRET_MARKS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(SECRETS).ok());

/// What a string tells of the value it opens or sends.
pub(super) fn sources_of_text(text: &[u8]) -> Sources {
    let head = text.get(..text.len().min(160)).unwrap_or_default();
    let names_secret = head.len() >= 4 && SECRET_MARKS.as_ref().is_some_and(|marks| marks.is_match(head));
    if names_secret { SECRET } else { 0 }
}

/// The flows of sources that reach sinks.
pub(super) fn flows(sources: Sources, sinks: Sinks) -> impl Iterator<Item = Flow> {
    FLOWS.iter().filter(move |row| row.0 & sources != 0 && row.1 & sinks != 0).map(|row| row.2)
}
