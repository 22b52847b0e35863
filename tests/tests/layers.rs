//! What a script compiles while it runs is judged as it runs: a text that is nowhere in the script makes the finding, with
//! the script, the layers and which led to which.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, sample, variant};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A script that holds nothing of what it runs: the text comes in a file of data, each byte flipped.
const OUTER: &str = "import sys\ndata = open('/opt/data.bin', 'rb').read()\n\
                     text = bytes(byte ^ 0x5a for byte in data).decode()\nexec(text)\n";

struct Lab {
    urva: Arc<Urva>,
    container: Container,
}

impl Lab {
    fn new() -> Option<Self> {
        if !privileged() {
            return None;
        }
        let lab = Self {
            urva: Urva::shared().unwrap(),
            container: Runc::container(&Rootfs::debian().unwrap()).start().unwrap(),
        };
        // The probe is attached to an interpreter when its first process is seen.
        for warm in [["python3", "-c", "pass"], ["bash", "-c", ":"]] {
            lab.container.exec_as((0, 0), warm, b"").unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
        Some(lab)
    }

    fn hide(&self, text: &str) {
        let data: Vec<u8> = text.bytes().map(|byte| byte ^ 0x5a).collect();
        std::fs::write(self.container.root().join("opt/data.bin"), data).unwrap();
    }

    fn run(&self, command: &[&str]) {
        self.container.exec_as((0, 0), command, b"").unwrap();
    }

    /// The finding that shows a layer of this text. Each malicious one is told as it comes.
    fn finding(&self, text: &str) -> Found {
        let is_decided = |found: &Found| {
            !found.property("Decided_By_Layer").is_empty()
                && layers(found).iter().any(|layer| layer["contents"] == text)
        };
        self.urva.wait_for_finding(self.container.id(), LIMIT, is_decided).unwrap()
    }
}

fn layers(found: &Found) -> Vec<Value> {
    serde_json::from_str(&found.property("Runtime_Layers")).unwrap()
}

#[test]
fn a_text_that_is_decoded_at_run_time_makes_the_finding() {
    let Some(lab) = Lab::new() else { return };
    let inner = sample("malicious.token-theft.py").unwrap();
    // Two layers: the first one is harmless and compiles the second.
    let middle = format!("import base64\nexec(base64.b64decode({:?}))\n", STANDARD.encode(&inner));
    lab.hide(&middle);
    lab.container.write_file("/opt/loader.py", OUTER).unwrap();
    lab.run(&["python3", "/opt/loader.py"]);

    let found = lab.finding(&inner);
    assert_eq!(found.category(), "Execution: Malicious Python executed");
    assert_eq!((found.path(), found.contents()), (Some("/opt/loader.py"), OUTER));
    assert_eq!(found.property("Script_Kind"), "FILE");
    let layers = layers(&found);
    let number: u64 = found.property("Decided_By_Layer").parse().unwrap();
    let decisive = layers.iter().find(|layer| layer["number"] == number);
    let decisive = decisive.unwrap();
    assert!([&inner, &middle].iter().any(|text| decisive["contents"] == text.as_str()), "{layers:#?}");
    let innermost = layers.iter().find(|layer| layer["contents"] == inner.as_str()).unwrap();
    let outermost = layers.iter().find(|layer| layer["number"] == innermost["within"]).unwrap();
    assert_eq!(outermost["size"], middle.len().to_string());
    assert_eq!((&outermost["compiledBy"], outermost.get("within")), (&"PYTHON_EXEC".into(), None));
}

#[test]
fn a_module_that_is_imported_and_a_text_that_bash_evaluates_make_findings() {
    let Some(lab) = Lab::new() else { return };
    let module = sample("malicious.reverse-shell.py").unwrap();
    lab.container.write_file("/opt/modules/helper.py", &module).unwrap();
    lab.run(&["env", "PYTHONPATH=/opt/modules", "python3", "-Bc", "import helper"]);
    let found = lab.finding(&module);
    let layer = layers(&found).into_iter().find(|layer| layer["contents"] == module.as_str()).unwrap();
    assert_eq!(
        (&layer["compiledBy"], &layer["name"]),
        (&"PYTHON_COMPILE".into(), &"/opt/modules/helper.py".into())
    );
    assert_eq!(found.property("Script_Kind"), "INLINE");

    let lab = Lab::new().unwrap();
    let shell = sample("malicious.token-theft.sh").unwrap();
    lab.hide(&shell);
    let script = "eval \"$(python3 -c 'import sys; sys.stdout.buffer.write(bytes(b ^ 0x5a for b in \
                  open(\"/opt/data.bin\", \"rb\").read()))')\"";
    lab.container.write_file("/opt/eval.sh", script).unwrap();
    lab.run(&["bash", "/opt/eval.sh"]);
    let found = lab.finding(shell.trim_end());
    assert_eq!(found.category(), "Malicious Script Executed");
    assert_eq!(found.path(), Some("/opt/eval.sh"));
    assert!(layers(&found).iter().any(|layer| layer["compiledBy"] == "BASH_EVAL"));
}

#[test]
fn harmless_texts_and_the_imports_of_everyday_work_make_no_finding() {
    let Some(lab) = Lab::new() else { return };
    lab.container.write_file("/opt/settings.py", sample("benign.settings.py").unwrap()).unwrap();
    lab.hide(&sample("benign.report.py").unwrap());
    lab.container.write_file("/opt/loader.py", OUTER).unwrap();
    lab.run(&["python3", "/opt/loader.py"]);
    // Each module of the library, compiled from its source.
    let all = "import sys, pkgutil, py_compile, os\nfor folder, _, names in os.walk('/usr/lib/python3.11'):\n  \
               for name in names:\n    if name.endswith('.py'):\n      \
               compile(open(os.path.join(folder, name), 'rb').read(), os.path.join(folder, name), 'exec', dont_inherit=True)\n";
    lab.run(&["python3", "-c", all]);
    lab.run(&[
        "python3",
        "-Bc",
        "import sys; sys.path.insert(0, '/opt'); import settings, json, email.mime.text, http.client",
    ]);
    // What comes last is judged last.
    lab.container.write_file("/opt/last.py", sample("malicious.reverse-shell.py").unwrap()).unwrap();
    lab.run(&["python3", "/opt/last.py"]);
    let is_last = |found: &Found| found.path() == Some("/opt/last.py");
    lab.urva.wait_for_finding(lab.container.id(), LIMIT, is_last).unwrap();
    let findings = lab.urva.site().findings(lab.container.id()).unwrap();
    let others: Vec<&Found> = findings.iter().filter(|found| !is_last(found)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn texts_of_containers_that_are_gone_at_once_are_found() {
    let Some(lab) = Lab::new() else { return };
    let gone: Vec<_> = (0..5)
        .map(|number| {
            let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
            let text = variant("malicious.token-theft.sh", &format!("gone {number}")).unwrap();
            let script = format!("eval \"$(base64 -d <<< {})\"", STANDARD.encode(&text));
            container.exec(["bash", "-c", &script]).unwrap();
            (container.id().to_owned(), text)
        })
        .collect();
    for (id, text) in gone {
        let shows = |found: &Found| layers(found).iter().any(|layer| layer["contents"] == text.trim_end());
        let found = lab.urva.wait_for_finding(&id, LIMIT, shows).unwrap();
        assert_eq!(found.property("Container_Id"), id);
    }
}
