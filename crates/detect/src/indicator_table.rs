//! The table of indicators: what an analyst would point at, in their words.
//!
//! Owns: the rows. The order of rows is part of the feature mapping: a change of any row means a new
//! feature version and a new model. Expressions are matched against one line, letters of both cases alike.

use crate::terms::Flow;
use evidence::Technique as T;
use evidence::{Language, Technique};

/// One indicator.
#[derive(Debug)]
pub(crate) struct Indicator {
    /// Texts of which one must occur in the line before the expression is tried.
    pub(crate) literals: &'static [&'static str],
    /// The expression; empty where a literal says all.
    pub(crate) pattern: &'static str,
    /// In an analyst's words.
    pub(crate) words: &'static str,
    /// The attack technique.
    pub(crate) technique: Option<Technique>,
    /// The languages in which it means something.
    pub(crate) scope: Scope,
    /// What it is worth as a reason.
    pub(crate) worth: Worth,
    /// The flow that shows it, in place of literals and an expression.
    pub(crate) flow: Option<Flow>,
}

/// Languages of an indicator.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    Python,
    Shell,
    Both,
}

/// What an indicator is worth as a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Tells something by itself.
    Telling,
    /// Everyday code does it too: a feature, and a reason only where the line weighs.
    Common,
}

impl Scope {
    pub(crate) fn includes(self, language: Language) -> bool {
        match self {
            Self::Python => language == Language::Python,
            Self::Shell => language == Language::Shell,
            Self::Both => true,
        }
    }
}

const fn row(
    scope: Scope,
    worth: Worth,
    words: &'static str,
    technique: Option<Technique>,
    literals: &'static [&'static str],
    pattern: &'static str,
) -> Indicator {
    Indicator { literals, pattern, words, technique, scope, worth, flow: None }
}

const fn flow(words: &'static str, technique: Technique, flow: Flow) -> Indicator {
    let technique = Some(technique);
    Indicator {
        literals: &[],
        pattern: "",
        words,
        technique,
        scope: Python,
        worth: Telling,
        flow: Some(flow),
    }
}

use Scope::{Both, Python, Shell};
use Worth::{Common, Telling};

/// Row that reads from the web without keeping a file.
pub(crate) const READS_WEB: &str = "reads from the web";
/// Row that writes a binary file.
pub(crate) const WRITES_BINARY: &str = "writes a binary file";
/// Row that fetches a file.
pub(crate) const FETCHES: &str = "fetches a file";

/// The indicators, at most 128.
#[rustfmt::skip]
pub(crate) const TABLE: &[Indicator] = &[
    // Shells and sockets.
    row(Shell, Telling, "connects a shell to a socket", Some(T::UnixShell), &["/dev/tcp/", "/dev/udp/"], r"(?:sh|exec|cat|[<>]&?).*/dev/(?:tcp|udp)/"),
    row(Both, Telling, "runs an interactive shell on redirected streams", Some(T::UnixShell), &["sh -i", "sh -li"], r"sh\s+-l?i\b.*(?:[<>]|\|)"),
    row(Both, Telling, "runs a shell behind netcat", Some(T::UnixShell), &["nc ", "ncat", "netcat"], r"\b(?:nc|ncat|netcat|nc\.\w+)\b.*(?:\s-\w*[ec]\b.*sh\b|\|.*sh\b)|sh\b.*\|\s*(?:nc|ncat|netcat)\b"),
    row(Both, Telling, "joins a shell and the network by a pipe", Some(T::UnixShell), &["mkfifo", "mknod"], r"\b(?:mkfifo|mknod)\b.*(?:nc|ncat|telnet|openssl|socat|sh)\b"),
    row(Both, Telling, "hands a shell to socat", Some(T::UnixShell), &["socat"], r"socat\b.*exec:"),
    row(Shell, Telling, "opens a socket from an inline program", Some(T::CommandAndScriptingInterpreter), &["socket", "fsockopen", "/inet/"], r"\b(?:python[\d.]*|perl|ruby|php|lua[\d.]*|g?awk|node)\b.*(?:socket|fsockopen|/inet/)"),
    row(Python, Telling, "redirects standard streams to a socket", Some(T::UnixShell), &["dup2"], r"dup2\s*\("),
    row(Python, Telling, "starts a terminal shell", Some(T::UnixShell), &["pty"], r"pty\s*\.\s*spawn|import_\w*\(.pty"),
    row(Python, Common, "connects to a network address", Some(T::ApplicationLayerProtocol), &["connect"], r"\bconnect(?:_ex)?\s*\(\s*\(|create_connection\s*\("),
    row(Python, Telling, "runs a shell", Some(T::UnixShell), &["/sh", "/bash", "sh\"", "sh'", "cmd.exe"], r"(?:popen|call|run|spawn|system|check_output|exec[lv]p?e?)\s*\(.{0,20}(?:/(?:ba|da|z)?sh\b|['\x22](?:ba|da|z)?sh['\x22]|cmd\.exe)"),
    row(Python, Common, "receives from a socket", Some(T::ApplicationLayerProtocol), &["recv"], r"\.recv(?:from|_into)?\s*\("),
    row(Python, Telling, "runs commands that it receives", Some(T::ApplicationLayerProtocol), &["recv"], r"(?:popen|system|check_output|getoutput|run|exec|eval)\s*\(.*recv"),
    row(Both, Common, "waits for connections", None, &["listen", "bind"], r"\.(?:listen|bind)\s*\(|\bnc(?:at)?\b.*\s-\w*l"),
    // Fetching and running.
    row(Both, Telling, "downloads and executes", Some(T::IngressToolTransfer), &["curl", "wget"], r"\b(?:curl|wget)\b.*\|\s*(?:sudo\s+|nohup\s+|exec\s+)*(?:/\S*/)?(?:ba|da|z|k)?(?:sh|python[\d.]*|perl)\b|(?:\bsh|\bbash|\beval|\bsource|\.)\s.*(?:<\(|\$\(|`)\s*(?:curl|wget)\b|\b(?:curl|wget)\b.*(?:&&|;).*chmod.*(?:&&|;)"),
    row(Both, Telling, FETCHES, Some(T::IngressToolTransfer), &["curl", "wget", "tftp", "ftpget", "lwp-download", "aria2c"], r"\bcurl\b.*(?:\s-\w*[oO]\b|--output|--remote-name|\s>\s*[\w/$.])|\bwget\b.*(?:://|\s-\w*O|\$)|\b(?:tftp|ftpget|lwp-download|aria2c)\s"),
    row(Python, Telling, FETCHES, Some(T::IngressToolTransfer), &["urlretrieve", "wget.download"], r"urlretrieve\s*\(|wget\.download\s*\("),
    row(Python, Common, READS_WEB, Some(T::ApplicationLayerProtocol), &["requests", "urlopen", "httpx", "http.client", "urllib"], r"(?:requests|httpx|session)\s*\.\s*(?:get|request)\s*\(|urlopen\s*\(|https?connection\s*\("),
    row(Python, Common, WRITES_BINARY, None, &["wb", "write_bytes"], r"open\s*\(.*['\x22]wb\+?['\x22]|write_bytes\s*\("),
    row(Python, Telling, "executes what it downloads", Some(T::IngressToolTransfer), &["requests", "urlopen", "httpx"], r"\b(?:exec|eval|system|popen|run)\s*\(.*(?:requests|urlopen|httpx)"),
    row(Both, Common, "makes a file executable", None, &["chmod"], r"chmod\s+(?:-\w+\s+)*(?:[augo]*\+r?w?x|0?[1-7]?7[0-7][0-7]|[0-7]{3}\b)|os\.chmod\s*\("),
    row(Both, Telling, "hides a file in a world-writable folder", None, &["/tmp/.", "/dev/shm/", "/var/tmp/."], r"(?:/tmp/\.[\w]|/dev/shm/|/var/tmp/\.)"),
    row(Both, Common, "uses a world-writable folder", None, &["/tmp", "/dev/shm"], ""),
    row(Both, Telling, "addresses a server by its number", Some(T::ApplicationLayerProtocol), &["http", "ftp://"], r"(?:https?|ftp)://(?:[1-9]|1[1-9]|[2-9]\d|1[013-9]\d|12[0-689]|2\d\d)(?:\.\d{1,3}){3}"),
    row(Both, Telling, "talks to a drop point", Some(T::ExfiltrationOverWebService), &["pastebin.com", "transfer.sh", "ngrok", "webhook", "api.telegram.org", "anonfiles", ".onion", "hastebin", "requestbin", "collaborator", "oast", "interact.sh", "pipedream", "file.io", "gofile.io", "tor2web"], r"pastebin\.com|transfer\.sh|ngrok|discord(?:app)?\.com/api/webhooks|api\.telegram\.org|webhook\.site|anonfiles|\.onion\b|hastebin|requestbin|burpcollaborator|oast(?:ify)?\.|interact\.sh|pipedream\.net|//file\.io|gofile\.io|tor2web"),
    row(Both, Common, "uses a raw file of a code host", None, &["raw.githubusercontent", "gist.github", "/raw/"], ""),
    // Decoding and running.
    row(Both, Telling, "decodes and executes text", Some(T::DeobfuscateDecode), &["base64", "xxd", "openssl", "gzip", "gunzip", "zcat"], r"(?:base64\s+(?:-\w+\s+)*(?:-d|-D|--decode)|xxd\s.*-r|openssl\s+(?:enc|base64).*-d|gunzip|gzip\s+-d\w*|zcat).*\|\s*(?:sudo\s+)?(?:/\S*/)?(?:(?:ba|da|z)?sh|python[\d.]*|perl)\b|(?:eval|exec|sh\s+-c|bash\s+-c)\b.*base64"),
    row(Python, Telling, "decodes and executes text", Some(T::DeobfuscateDecode), &["decode", "decompress", "fromhex", "unhexlify", "marshal", "fernet"], r"\b(?:exec|eval|system|popen)\b\s*\(.*(?:b(?:16|32|64|85)decode|a85decode|decompress|fromhex|unhexlify|marshal|codecs\.decode|\.decrypt)"),
    row(Both, Common, "decodes text", Some(T::DeobfuscateDecode), &["base64", "b64decode", "unhexlify", "fromhex", "b85decode", "a85decode", "b32decode"], r"base64\s.*(?:-d|-D|--decode)|(?:b64|urlsafe_b64|b85|a85|b32)decode|unhexlify|fromhex"),
    row(Python, Common, "executes text", Some(T::CommandAndScriptingInterpreter), &["exec", "eval"], r"(?:^|[^\w.])(?:exec|eval)\s*\("),
    row(Python, Telling, "unpacks code", Some(T::DeobfuscateDecode), &["marshal", "zlib", "lzma", "bz2"], r"marshal\s*\.\s*loads|(?:zlib|lzma|bz2)['\x22]?\)?\s*\.\s*decompress"),
    row(Python, Common, "imports by a computed name", Some(T::ObfuscatedFilesOrInformation), &["__import__", "getattr"], r"__import__\s*\(|getattr\s*\(\s*__"),
    row(Python, Telling, "builds text from character codes", Some(T::ObfuscatedFilesOrInformation), &["chr(", "chr,"], r"(?:chr\(\w+\)\s*\+\s*){2}|map\(chr|chr\s*\(.*\bfor\b.*\bin\b|chr\s*\(.*\^"),
    row(Both, Common, "holds escaped bytes", Some(T::ObfuscatedFilesOrInformation), &["\\x"], r"(?:\\x[0-9a-f]{2}){6}"),
    row(Shell, Common, "evaluates text", Some(T::UnixShell), &["eval"], r"(?:^|[;&|({`]|\s)eval\s"),
    row(Shell, Telling, "assembles a command from pieces", Some(T::ObfuscatedFilesOrInformation), &["$'\\", "printf", "rev", "${ifs", "$ifs", "tr "], r"\$'\\(?:x|[0-7])|\$\{?ifs|rev\s*\|\s*(?:ba)?sh|\|\s*tr\s.*\|\s*(?:ba|da)?sh\b|printf.*\\x.*\|\s*(?:ba|da)?sh\b"),
    row(Both, Telling, "runs a program from memory", Some(T::ReflectiveCodeLoading), &["memfd_create", "/proc/self/fd", "memmove", "cfunctype", "virtualalloc", "syscall(319", "rwx"], r"memfd_create|/proc/self/fd/|memmove|cfunctype|virtualalloc|syscall\s*\(\s*319|prot_exec"),
    // Mining.
    row(Both, Telling, "mines cryptocurrency", Some(T::ResourceHijacking), &["xmr", "minerd", "cpuminer", "cryptonight", "kdevtmpfsi", "kinsing", "pool", "ethminer", "nbminer", "lolminer", "donate-level", "unmineable", "2miners", "moneroocean", "hashvault", "nicehash", "randomx", "monero"], r"xmrig|xmr-stak|xmr\.|minerd\b|cpuminer|cryptonight|kdevtmpfsi|kinsing|c3pool|nanopool|minexmr|supportxmr|ethminer|nbminer|lolminer|donate-level|unmineable|2miners|f2pool|moneroocean|hashvault|nicehash|randomx|monero"),
    row(Both, Telling, "talks to a mining pool", Some(T::ResourceHijacking), &["stratum"], r"stratum\d?\+(?:tcp|ssl|tls)"),
    row(Both, Telling, "names a Monero wallet", Some(T::ResourceHijacking), &[" 4", "'4", "\"4", "=4", " 8", "'8", "\"8", "=8"], r"\b[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}\b"),
    row(Both, Telling, "tunes the machine as miners do", Some(T::ResourceHijacking), &["nr_hugepages", "wrmsr", "modprobe msr"], ""),
    row(Both, Telling, "kills rival miners", Some(T::ResourceHijacking), &["kill"], r"kill(?:all)?\b.*(?:xmr|miner|kinsing|kdevtmp|cryptonight|masscan|sysupdate|networkservice)|(?:xmr|miner|kinsing|kdevtmp|cryptonight|\b3333\b|\b5555\b|\b7777\b|\b14444\b).*kill"),
    // Credentials.
    row(Both, Telling, "reads the service-account token", Some(T::ContainerApi), &["kubernetes.io", "serviceaccount"], r"secrets/kubernetes\.io|serviceaccount/(?:token|ca\.crt|namespace)"),
    row(Both, Telling, "asks the cloud's metadata service", Some(T::CloudInstanceMetadataApi), &["169.254.169.254", "metadata.google.internal", "100.100.100.200", "169.254.170.2", "metadata-flavor", "x-aws-ec2-metadata"], ""),
    row(Both, Telling, "reads stored credentials", Some(T::UnsecuredCredentials), &[".aws", ".docker/config", ".kube/config", "gcloud", "git-credentials", ".netrc", ".npmrc", ".pypirc", "id_rsa", "id_ed25519", "id_dsa", "id_ecdsa", ".pgpass", ".vault-token", "azureprofile", "s3cfg"], r"\.aws/|\.aws\b.*credentials|\.docker/config|\.kube/config|config/gcloud|git-credentials|\.netrc|\.npmrc|\.pypirc|id_(?:rsa|dsa|ed25519|ecdsa)|\.pgpass|\.vault-token|azureprofile|\.s3cfg"),
    row(Both, Telling, "reads the password file", Some(T::UnsecuredCredentials), &["/etc/shadow", "/etc/passwd", "/etc/gshadow"], ""),
    row(Both, Telling, "reads the environment of processes", Some(T::UnsecuredCredentials), &["/environ"], r"/proc/.*/environ"),
    row(Both, Common, "collects the environment", Some(T::UnsecuredCredentials), &["environ", "printenv", "env"], r"os\.environ\s*(?:\)|,|\.(?:items|copy))|(?:^|[;&|(`]|\s)(?:printenv|env)\s*(?:\||>|\)|`|$)"),
    row(Both, Common, "names secrets", Some(T::UnsecuredCredentials), &["secret_access_key", "access_key_id", "github_token", "aws_session_token", "api_key", "private_key"], ""),
    row(Python, Telling, "reads secrets of browsers, chats or wallets", Some(T::UnsecuredCredentials), &["login data", "cookies.sqlite", "local state", "leveldb", "wallet.dat", "metamask", "cryptunprotectdata", "exodus", "localstorage"], ""),
    row(Both, Telling, "searches files for secrets", Some(T::UnsecuredCredentials), &["grep", "find", "walk", "glob"], r"(?:grep|find|walk|glob)\b.*(?:passw|secret|token|credential|aws_|id_rsa|\.pem|\.key\b|private)"),
    // Sending out.
    row(Shell, Telling, "sends data out", Some(T::ExfiltrationOverC2), &["curl", "wget"], r"curl\b.*(?:\s(?:-d|-F|-T|--data\S*|--form|--upload-file)[\s='\x22]*(?:\S*=)?@?(?:-|@|\$\(|`|/|\$\{?\w)|\s-X\s*POST.*(?:\$\(|`|@))|wget\b.*--post-(?:data|file)|(?:curl|wget)\b.*\?\S*(?:\$\(|`)"),
    row(Shell, Telling, "pipes data to the network", Some(T::ExfiltrationOverC2), &["nc ", "ncat", "curl", "telnet", "openssl"], r"\|\s*(?:nc|ncat|netcat|telnet|openssl\s+s_client|curl\b.*(?:@-|-T\s*-))"),
    row(Python, Common, "sends data out", Some(T::ExfiltrationOverC2), &["post", "sendall", "data=", ".send(", "put("], r"(?:requests|httpx|session)\s*\.\s*(?:post|put)\s*\(|urlopen\s*\(.*data\s*=|request\s*\(.*data\s*=|\.sendall?\s*\("),
    row(Both, Telling, "sends data out in names of hosts", Some(T::ExfiltrationOverC2), &["nslookup", "dig ", "host ", "gethostbyname", "ping "], r"(?:nslookup|dig|host|ping)\s.*(?:\$\(|`).*\.\w|gethostbyname\s*\(.*(?:\+|%|f['\x22])"),
    // Staying.
    row(Both, Telling, "adds a cron job", Some(T::ScheduledTask), &["cron"], r"crontab\s+(?:-\s*$|-[^lreu]|[/\w.$-]*tmp)|\|\s*crontab\b|>>?\s*['\x22]?/?(?:etc|var/spool)/cron|/etc/cron\S*['\x22]\s*,\s*['\x22][wa]|/var/spool/cron|crontab\s*-['\x22]|crontab['\x22]\s*,\s*['\x22]-['\x22]|/etc/cron\.d/"),
    row(Both, Common, "installs a service", None, &["systemd/system", "systemctl enable", "/etc/init.d", "rc.local", "update-rc.d", "rcs.d"], ""),
    row(Both, Telling, "adds a key for SSH logins", Some(T::AccountManipulation), &["authorized_keys"], ""),
    row(Both, Telling, "changes accounts", Some(T::AccountManipulation), &["useradd", "adduser", "chpasswd", "usermod", "sudoers", "/etc/passwd"], r"useradd|adduser|chpasswd|usermod|sudoers|>>?\s*/etc/passwd"),
    row(Both, Telling, "loads code into other programs", None, &["ld.so.preload", "ld_preload"], ""),
    row(Both, Common, "changes login scripts", None, &[".bashrc", ".profile", ".bash_profile", ".zshrc", "/etc/profile"], ""),
    // Hiding.
    row(Both, Telling, "clears traces", Some(T::IndicatorRemoval), &["history", "histfile", "histsize", "wtmp", "utmp", "lastlog", "/var/log", "shred"], r"history\s+-[cw]|unset\s+hist|hist(?:file|size)=(?:/dev/null|0|$)|(?:rm|shred|truncate|>|echo|cat /dev/null)\s.*(?:bash_history|wtmp|utmp|lastlog|/var/log/)|>\s*/var/log/|shred\s+-\w*u"),
    row(Both, Telling, "switches defences off", Some(T::ImpairDefenses), &["setenforce", "iptables", "ufw", "firewalld", "auditd", "apparmor", "falco", "aliyun", "aegis", "cloudmonitor", "selinux", "qcloud", "bcm-agent", "nmi_watchdog", "ulimit -n 65535"], r"setenforce\s+0|iptables\s+-(?:F|X|P\s+\w+\s+ACCEPT)|ufw\s+disable|(?:stop|disable|kill|rm|remove)\b.*(?:firewalld|auditd|apparmor|falco|aliyun|aegis|cloudmonitor|qcloud|bcm-agent)|selinux=disabled|aegis|nmi_watchdog|aliyun\.one"),
    row(Shell, Telling, "locks or unlocks files", Some(T::IndicatorRemoval), &["chattr"], r"t?chattr\s+[-+][a-z]+"),
    row(Both, Common, "kills processes", None, &["pkill", "killall", "kill -9", "kill -kill"], ""),
    row(Both, Telling, "deletes itself", Some(T::IndicatorRemoval), &["$0", "argv[0]", "__file__"], r"\b(?:rm|shred|unlink)\s.*\$\{?0|(?:remove|unlink)\s*\(.*(?:argv\[0\]|__file__)"),
    row(Both, Common, "detaches from its session", None, &["nohup", "setsid", "disown", "start_new_session"], ""),
    row(Both, Common, "runs silently in the background", None, &["/dev/null"], r"/dev/null.*&\s*(?:$|\)|['\x22;])"),
    row(Both, Common, "poses as a kernel thread or service", None, &["[kworker", "[kthread", "exec -a", "prctl", "setproctitle"], ""),
    // Destroying.
    row(Both, Telling, "destroys data", Some(T::DataDestruction), &["rm ", "dd ", "mkfs", "rmtree", "no-preserve-root", ":(){", "/dev/sd", "wipefs", "unlink", "os.remove"], r"rm\s+(?:-\S+\s+)*(?:--no-preserve-root|/(?:\s|\*|$|['\x22;])|/(?:home|etc|boot|usr|root|data|mnt|srv|opt)(?:/?\*|\s|/?$|['\x22;]))|rm\s+-\S+\s+~(?:/\*|\s|$)|dd\s+if=/dev/(?:zero|u?random)\s+of=/dev/(?:[snvx]|mmc)|mkfs\S*\s.*(?:-F\s+|\s)/dev/|rmtree\s*\(\s*['\x22]/|:\(\)\s*\{|open\(['\x22]/dev/[snv][dv]|wipefs\s+-a"),
    row(Python, Common, "encrypts data", None, &["fernet", "aes.new", ".encrypt("], ""),
    row(Both, Telling, "demands a ransom", Some(T::DataDestruction), &["ransom", "your files", "bitcoin", ".locked", ".encrypted", "decrypt"], r"ransom|your files|\bbitcoins?\b|\.(?:locked|encrypted)['\x22]|encrypted\b.*\bpay|how.to.decrypt|readme_decrypt"),
    // Leaving the container.
    row(Both, Telling, "talks to the container runtime", Some(T::EscapeToHost), &["docker.sock", "containerd.sock", "crio.sock", ":2375", "10250"], r"docker\.sock|containerd\.sock|crio\.sock|:2375\b|:10250\b"),
    row(Both, Telling, "leaves the container", Some(T::EscapeToHost), &["release_agent", "notify_on_release", "core_pattern", "/proc/1/root", "nsenter", "sysrq-trigger", "uevent_helper", "/proc/1/ns", "cap_sys_admin", "unshare", "debugfs"], r"release_agent|notify_on_release|core_pattern|/proc/1/root|nsenter\b|sysrq-trigger|uevent_helper|/proc/1/ns|cap_sys_admin|unshare\s+-\S*[UrmC]|debugfs\s+-w"),
    row(Both, Telling, "reaches into the host's files", Some(T::EscapeToHost), &["chroot", "mount", "/host"], r"chroot\s+/?(?:host|mnt|tmp)|mount\s+(?:-\S+\s+\S+\s+)*/dev/(?:[snv][dv]|xvd|mapper)|-v\s+/:/|/host(?:fs)?/(?:etc|root|var)|--privileged"),
    row(Both, Telling, "asks the Kubernetes API for more than its own", Some(T::ContainerApi), &["/api/v1", "/apis/", "kubernetes.default", "get secrets", "kubernetes_service_host"], r"/api/v1/(?:\S*secrets|namespaces|pods|nodes)|kubernetes\.default|get\s+secrets|kubernetes_service_host|/apis/(?:rbac|apps|authorization)"),
    // Looking around and spreading.
    row(Both, Common, "describes the machine", Some(T::SystemInformationDiscovery), &["whoami", "uname", "gethostname", "getuser", "platform.", "hostname", "/etc/os-release", "nproc", "getlogin"], r"\bwhoami\b|uname\s+-\w*a|gethostname|getuser\(|platform\.(?:uname|node|system|platform)|\$\(hostname\)|`hostname`|os-release|\bnproc\b|getlogin"),
    row(Both, Telling, "asks for its own public address", Some(T::SystemInformationDiscovery), &["ifconfig.me", "ipinfo.io", "ipify", "icanhazip", "ident.me", "checkip", "ip-api.com", "ifconfig.co", "ipecho", "myip"], ""),
    row(Both, Telling, "scans or enters other machines", None, &["masscan", "zmap", "pnscan", "hydra", "sshpass", "stricthostkeychecking", "known_hosts", "zgrab", "nmap", "telnetlib", "paramiko"], r"masscan|\bzmap\b|pnscan|\bhydra\b|sshpass|batchmode.*stricthost|stricthost.*batchmode|known_hosts|zgrab|telnetlib|nmap\s+-"),
    row(Both, Telling, "floods a target", None, &["flood", "ddos", "slowloris", "botnet"], ""),
    row(Both, Common, "loops for ever", None, &["while"], r"while\s+(?:true|1|:|\[\s*1\s*\])\s*[:;]?|while\s*\(\s*(?:true|1)\s*\)"),
    row(Python, Common, "runs commands", Some(T::CommandAndScriptingInterpreter), &["os.system", "popen", "subprocess", "getoutput", "shell=true", "os.exec"], r"os\.(?:system|popen|exec\w+|spawn\w+)\s*\(|subprocess\.\w+\s*\(|popen\s*\(|getoutput\s*\(|shell\s*=\s*true"),
    row(Python, Common, "runs while a package is installed", None, &["cmdclass", "setuptools"], r"cmdclass|setuptools"),
    row(Python, Common, "is made for Windows", None, &["powershell", "winreg", "appdata", ".exe", "schtasks", "ctypes.windll"], r"powershell|winreg|appdata|\.exe['\x22]|schtasks|windll"),
    row(Python, Common, "swallows every error", None, &["except"], r"except\s*(?:baseexception|exception)?\s*:\s*(?:pass|continue)?\s*$"),
    row(Python, Telling, "logs keys or takes pictures of the screen", None, &["pynput", "keylog", "imagegrab", "pyautogui", "screenshot", "getasynckeystate"], r"pynput|keylog|imagegrab|pyautogui|screenshot\s*\(|getasynckeystate"),
    // Obfuscation and its company.
    row(Both, Telling, "hides code behind blanks", Some(T::ObfuscatedFilesOrInformation), &["                                                            "], r"\S {60,}[;\w(]|;\s{60,}\S"),
    row(Python, Telling, "has scrambled names", Some(T::ObfuscatedFilesOrInformation), &["_0x", "ilil", "lili", "llll", "iiii", "oo0o", "o0o0", "0o0o", "oooo", "______"], r"\b[Il1]{8,}\b|\b[O0o]{8,}\b|\b_0x[0-9a-f]{4,}|\b_{7,}\b"),
    row(Python, Common, "reverses text", Some(T::ObfuscatedFilesOrInformation), &["[::-1]", "reversed("], ""),
    row(Python, Telling, "decrypts and executes text", Some(T::DeobfuscateDecode), &["fernet", "aes.new", "decrypt", "xor"], r"(?:exec|eval|compile)\b.*(?:fernet|decrypt|aes)"),
    row(Python, Common, "combines numbers into text", Some(T::ObfuscatedFilesOrInformation), &["chr", "ord(", "bytes([", "bytearray(["], r"chr\s*\(.*(?:[-+^%]|>>|<<)|ord\s*\(.*\^|(?:bytes|bytearray)\s*\(\s*\[\s*\d+\s*,\s*\d+\s*,\s*\d+"),
    row(Both, Telling, "looks for the tools of analysts", Some(T::ImpairDefenses), &["vboxservice", "wireshark", "vmtoolsd", "httpdebugger", "isdebuggerpresent", "checkremotedebugger", "processhacker", "ollydbg", "sandboxie", "x64dbg", "vmware", "qemu-ga", "tracerpid"], r"vboxservice|wireshark|vmtoolsd|httpdebugger|debuggerpresent|processhacker|ollydbg|sandboxie|x64dbg|vmwareuser|vmwaretray|qemu-ga|tracerpid"),
    row(Python, Telling, "hides its window", Some(T::ImpairDefenses), &["create_no_window", "0x08000000", "sw_hide", "windowstyle hidden", "detached_process", "-w hidden", "showwindow"], ""),
    row(Both, Telling, "runs encoded PowerShell", Some(T::DeobfuscateDecode), &["powershell"], r"powershell.*\s-e(?:nc|ncodedcommand)?\s|powershell.*(?:iex|invoke-expression|frombase64string|downloadstring|invoke-webrequest|invoke-restmethod|iwr\b)"),
    row(Both, Telling, "names a program or script at a web address", Some(T::IngressToolTransfer), &[".exe", ".bat", ".ps1", ".vbs", ".msi", ".scr", ".dll", ".elf", ".hta"], r"https?://[^\s'\x22]+\.(?:exe|bat|ps1|vbs|msi|scr|dll|elf|hta)\b"),
    row(Both, Telling, "uses a place where anybody can leave files", Some(T::ExfiltrationOverWebService), &["cdn.discordapp", "dropbox", "onrender.com", "herokuapp", "trycloudflare", "serveo", "duckdns", "no-ip", "ddns", "beeceptor", "requestcatcher", "canarytokens", "dnslog", "ceye.io", "pythonanywhere", "replit", "repl.co", "glitch.me", "rentry.co", "0x0.st", "termbin", "ghostbin", "paste.ee", "dpaste", "catbox.moe", "bashupload", "temp.sh", "uguu", "pastefy", "ix.io", "sendspace", "mediafire", "mega.nz", "paste.rs", "pastes.dev", "controlc.com", "workers.dev", "vercel.app", "webhookdata"], r"cdn\.discordapp\.com/attachments|dropbox(?:usercontent)?\.com/(?:s|scl|u)/|onrender\.com|herokuapp\.com|trycloudflare|serveo|duckdns|no-ip\.|\bddns\b|beeceptor|requestcatcher|canarytokens|dnslog|ceye\.io|pythonanywhere\.com|replit|repl\.co|glitch\.me|rentry\.co|0x0\.st|termbin|ghostbin|paste\.ee|dpaste|catbox\.moe|bashupload|temp\.sh|uguu|pastefy|\bix\.io|sendspace|mediafire|mega\.nz|paste\.rs|pastes\.dev|controlc\.com|workers\.dev|vercel\.app|webhookdata"),
    row(Both, Common, "installs packages while it runs", None, &["pip install", "pip3 install", "'install'", "\"install\""], r"pip3?\s+install|pip3?['\x22]\s*,\s*['\x22]install"),
    row(Python, Telling, "swaps cryptocurrency addresses", Some(T::ResourceHijacking), &["bc1", "0x", "pyperclip", "clipboard"], r"pyperclip\.(?:copy|paste)|getclipboarddata|['\x22](?:bc1[a-z0-9]{20,}|0x[0-9a-f]{40})['\x22]"),
    row(Both, Telling, "takes or gives the rights of root", None, &["chmod", "nopasswd", "setuid", "setcap"], r"chmod\s+(?:-\w+\s+)*(?:[ug]?\+\S*s\b|[246][0-7]{3}\b)|nopasswd|setuid\s*\(\s*0|setcap\s+cap_"),
    row(Both, Telling, "loads a kernel module", None, &["insmod", "rmmod", "init_module"], r"\b(?:insmod|rmmod|f?init_module)\b"),
    row(Shell, Telling, "opens a socket in another language", Some(T::CommandAndScriptingInterpreter), &["io::socket", "use socket", "tcpsocket", "fsockopen", "net.dial", "java.net.socket", "new socket", "net.socket", "net.connect", "ztcp", "/net/tcp", "/inet/tcp", "socket.tcp", "createconnection", "tcpclient", "sockets.tcp", "socket.socket", "s_client", "socket.connect", "io.popen", "pfsockopen", "stream_socket_client", "socket ["], ""),
    row(Shell, Telling, "pipes the network into a shell", Some(T::UnixShell), &["telnet", "s_client", "socat", "nc "], r"(?:telnet|s_client|socat|\bnc)\b.*\|\s*(?:/bin/)?(?:ba|z|da|k)?sh\b"),
    row(Both, Telling, "fetches builds for many processors", Some(T::IngressToolTransfer), &["mips", "mpsl", "sh4", "arm7", "m68k", "ppc", "arm5", "arm6", "i586", "i686"], r"(?:wget|curl|tftp|http|ftpget|bins|busybox).*\b(?:mips|mpsl|mipsel|arm[4-7]l?|sh4|ppc|m68k|spc|i[56]86)\b|\.(?:mips|mpsl|mipsel|sh4|arm[4-7]|m68k)\b"),
    row(Both, Telling, "opens a tunnel", Some(T::ApplicationLayerProtocol), &["ssh -", "chisel", "frpc", "ngrok", "tunnel", "gsocket", "gs-netcat", "localtunnel"], r"ssh\s.*-[NfTCq]*R\s*\S*:|chisel|\bfrpc\b|ngrok|code\s+tunnel|gsocket|gs-netcat|localtunnel"),
    row(Shell, Telling, "runs what it just made executable", Some(T::UnixShell), &["chmod"], r"chmod\s+(?:-\w+\s+)*(?:\+x|[0-7]*7[0-7]*|a\+x|u\+x)\s+(\S+)\s*(?:;|&&|\|\|?)\s*(?:sudo\s+|nohup\s+|exec\s+)?(?:\./|/|~/|\$)"),
    row(Python, Common, "computes a call", Some(T::ObfuscatedFilesOrInformation), &["__builtins__", "builtins", "globals()", "locals()", "__dict__", "getattr("], r"__builtins__|globals\(\)\s*\[|locals\(\)\s*\[|__dict__\s*\[|import\s+builtins|getattr\s*\(\s*(?:__|builtins|os\b|sys\b)"),
    // Flows: no literal names them.
    flow("executes what it downloads", T::IngressToolTransfer, Flow::NetworkExecuted),
    flow("runs commands that it receives", T::ApplicationLayerProtocol, Flow::NetworkRun),
    flow("stores what it downloads", T::IngressToolTransfer, Flow::NetworkStored),
    flow("decodes and executes text", T::DeobfuscateDecode, Flow::DecodedExecuted),
    flow("decodes and runs commands", T::DeobfuscateDecode, Flow::DecodedRun),
    flow("stores what it decodes", T::DeobfuscateDecode, Flow::DecodedStored),
    flow("sends credentials out", T::ExfiltrationOverC2, Flow::SecretSent),
    flow("sends a description of the machine out", T::ExfiltrationOverC2, Flow::MachineSent),
    flow("sends the environment out", T::ExfiltrationOverC2, Flow::EnvironmentSent),
    flow("sends what the user types or sees out", T::ExfiltrationOverC2, Flow::DesktopSent),
];
