//! The finding in words, case by case.

use crate::cases::*;
use evidence::guidance::{description, next_steps, shell_command};
use evidence::scc::Place;
use evidence::{Finding, Runtime};

fn check(name: &str, finding: &Finding) {
    let place = Place::default();
    let steps = next_steps(finding, &place)
        .iter()
        .map(|step| {
            format!(
                "{step}
"
            )
        })
        .collect::<String>();
    let text = format!(
        "{}

{steps}",
        description(finding, &place)
    );
    insta::assert_snapshot!(name, text);
}

#[test]
fn a_finding_is_told_in_plain_words() {
    check("guidance_python_file", &python_file());
    check("guidance_python_inline", &python_inline());
    check("guidance_head_and_tail", &head_and_tail());
    check("guidance_no_metadata", &no_metadata());
    check("guidance_hostile", &hostile());
    check("guidance_host", &host());
    check("guidance_impaired", &impaired());
}

#[test]
fn a_name_that_is_no_word_never_stands_in_a_command() {
    let mut container = container();
    assert!(shell_command(&container).is_some());
    for name in ["-x", "a b", "a;b", "$(id)", "`id`", "a\nb", "", "a'b", &"n".repeat(300)] {
        container.pod.as_mut().expect("Pod").name = Some(name.to_owned());
        assert_eq!(shell_command(&container), None, "{name:?}");
    }
    container.pod = None;
    container.id = "--privileged".to_owned();
    assert_eq!(shell_command(&container), None);
}

#[test]
fn each_runtime_has_its_own_command() {
    let mut container = container();
    container.pod = None;
    container.id = "demo".to_owned();
    for (runtime, expected) in [
        (Runtime::Docker, "docker exec -ti demo /bin/sh"),
        (Runtime::Runc, "runc exec -t demo /bin/sh"),
        (Runtime::Podman, "podman exec -ti demo /bin/sh"),
        (Runtime::Crio, "crictl exec -ti demo /bin/sh"),
    ] {
        container.runtime = Some(runtime);
        assert_eq!(shell_command(&container).as_deref(), Some(expected));
    }
}
