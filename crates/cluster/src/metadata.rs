//! Labels and annotations: their bounds, and what well-known ones say about a container.

use evidence::{Container, Pod, Runtime};
use std::collections::BTreeMap;

/// More labels than this are cut off, in the order of their keys. Kubernetes has no limit on their number.
const LABELS_MAX: usize = 256;
/// And more bytes than this, keys and values together. Kubernetes limits annotations to 256 KiB.
const LABELS_MAX_BYTES: usize = 64 * 1024;
/// A longer name, image or id is cut. Registries allow 255 bytes, Kubernetes 253.
const TEXT_MAX_BYTES: usize = 1024;

/// The text, cut where it is too long; none where it is empty, as gRPC writes what is absent.
pub(crate) fn text(mut value: String) -> Option<String> {
    let end = value.floor_char_boundary(TEXT_MAX_BYTES);
    value.truncate(end);
    (!value.is_empty()).then_some(value)
}

/// The labels, as many as fit into the bounds.
pub(crate) fn labels(all: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let sorted: BTreeMap<String, String> = all.into_iter().collect();
    let mut bytes = 0;
    sorted
        .into_iter()
        .take(LABELS_MAX)
        .take_while(|(key, value)| {
            bytes += key.len() + value.len();
            bytes <= LABELS_MAX_BYTES
        })
        .collect()
}

/// Fills what is absent in the container from the labels and annotations that runtimes are known to set:
/// kubelet's (`io.kubernetes.*`), containerd's CRI plugin's, CRI-O's, Podman's and nerdctl's.
pub(crate) fn fill_from_labels(container: &mut Container, labels: &BTreeMap<String, String>) {
    let first = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key)).cloned().and_then(text);
    let fill = |field: &mut Option<String>, keys: &[&str]| *field = field.take().or_else(|| first(keys));
    fill(
        &mut container.name,
        &["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"],
    );
    fill(
        &mut container.image,
        &[
            "io.kubernetes.cri.image-name",
            "io.kubernetes.cri-o.ImageName",
            "org.opencontainers.image.ref.name",
        ],
    );
    fill(&mut container.image_id, &["io.kubernetes.cri-o.ImageRef"]);
    let mut pod = container.pod.take().unwrap_or_default();
    fill(&mut pod.uid, &["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]);
    fill(&mut pod.namespace, &["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
    fill(&mut pod.name, &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    container.pod = (pod != Pod::default()).then_some(pod);
}

/// Which engine made a container for which only runc's state is known.
pub(crate) fn engine(labels: &BTreeMap<String, String>) -> Option<Runtime> {
    match labels.get("io.container.manager").map(String::as_str) {
        Some("libpod") => return Some(Runtime::Podman),
        Some("cri-o") => return Some(Runtime::Crio),
        _ => {}
    }
    let has = |prefix: &str| labels.keys().any(|key| key.starts_with(prefix));
    if has("io.kubernetes.cri-o.") {
        Some(Runtime::Crio)
    } else if has("io.kubernetes.cri.") || has("nerdctl/") {
        Some(Runtime::Containerd)
    } else {
        None
    }
}

/// Fills what is absent in `container` from what a lesser source said.
pub(crate) fn fill(container: &mut Container, from: Container) {
    fn fill<T>(field: &mut Option<T>, from: Option<T>) {
        *field = field.take().or(from);
    }
    fill(&mut container.runtime, from.runtime);
    fill(&mut container.name, from.name);
    fill(&mut container.image, from.image);
    fill(&mut container.image_id, from.image_id);
    fill(&mut container.created_at, from.created_at);
    if container.labels.is_empty() {
        container.labels = from.labels;
    }
    match (&mut container.pod, from.pod) {
        (Some(pod), Some(from)) => {
            fill(&mut pod.uid, from.uid);
            fill(&mut pod.namespace, from.namespace);
            fill(&mut pod.name, from.name);
            if pod.labels.is_empty() {
                pod.labels = from.labels;
            }
        }
        (pod, from) => fill(pod, from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_in_number_and_in_bytes() {
        let many = (0..10_000).map(|number| (format!("{number:05}"), String::new()));
        assert_eq!(labels(many).len(), LABELS_MAX);
        let large = (0..100).map(|number| (format!("{number:05}"), "x".repeat(10_000)));
        assert_eq!(labels(large).len(), 6);
        assert!(labels([("key".to_owned(), "x".repeat(1 << 20))]).is_empty());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(text(String::new()), None);
        assert_eq!(text("web".into()).as_deref(), Some("web"));
        assert_eq!(text("악".repeat(1000)).unwrap().len(), 1023);
    }

    #[test]
    fn the_better_source_wins_and_the_lesser_one_fills_the_rest() {
        let mut better = Container::pending("a", Some(Runtime::Containerd));
        better.name = Some("web".into());
        better.pod = Some(Pod { name: Some("web-1".into()), ..Pod::default() });
        let mut lesser = Container::pending("a", Some(Runtime::Runc));
        lesser.name = Some("other".into());
        lesser.image = Some("image".into());
        lesser.pod = Some(Pod { uid: Some("u".into()), name: Some("other".into()), ..Pod::default() });
        fill(&mut better, lesser);
        assert_eq!((better.name.as_deref(), better.image.as_deref()), (Some("web"), Some("image")));
        assert_eq!(better.runtime, Some(Runtime::Containerd));
        let pod = better.pod.unwrap();
        assert_eq!((pod.uid.as_deref(), pod.name.as_deref()), (Some("u"), Some("web-1")));
    }
}
