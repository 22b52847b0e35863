//! Which system a text is meant for, told by simple marks.
//!
//! Refuses: being a feature; reports are divided by it.

/// Words that stand in scripts for Windows, in lower case.
const WINDOWS: [&str; 14] = [
    "powershell",
    "winreg",
    "appdata",
    ".exe",
    "cmd /c",
    "windll",
    "c:\\",
    "win32",
    "hkey_",
    "schtasks",
    "%temp%",
    ".bat",
    "os.startfile",
    "startupinfo",
];

/// Words that stand in scripts for Linux, in lower case.
const LINUX: [&str; 14] = [
    "/etc/",
    "/tmp",
    "/bin/",
    "/dev/",
    "/proc/",
    "/var/",
    "/usr/",
    "bash",
    "systemctl",
    "apt-get",
    "crontab",
    "chmod",
    "~/.",
    "/root",
];

/// `Windows`, `Linux`, or `any` where neither has more marks.
pub(crate) fn of(text: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let marks = |words: &[&str]| words.iter().filter(|word| text.contains(**word)).count();
    match marks(&WINDOWS).cmp(&marks(&LINUX)) {
        std::cmp::Ordering::Greater => "Windows",
        std::cmp::Ordering::Less => "Linux",
        std::cmp::Ordering::Equal => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn marks_tell_the_platform() {
        assert_eq!(of(b"subprocess.run(['PowerShell', '-c', x])"), "Windows");
        assert_eq!(of(b"open('/etc/passwd').read()"), "Linux");
        assert_eq!(of(b"print(1)"), "any");
        assert_eq!(of(b"if win32: p = 'a.exe' # or /tmp, /bin/sh"), "any");
    }
}
