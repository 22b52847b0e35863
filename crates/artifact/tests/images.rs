//! Container images: what `docker save` writes, old and new, and OCI layouts.

#![allow(clippy::panic, reason = "a test that cannot be set up must fail")]

mod common;

use artifact::Options;
use common::{SHELL, check, check_with, found_with, gzip, tar, write};
use evidence::Sha256;

/// An image of three layers, of which the later ones remove and replace files of the earlier ones.
struct Image {
    layers: Vec<Vec<u8>>,
    config: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let base =
            tar(&[("bin/gone.sh", SHELL), ("bin/kept.sh", SHELL), ("d/old.sh", SHELL), ("x.sh", SHELL)]);
        let middle = tar(&[("bin/.wh.gone.sh", b""), ("d/.wh..wh..opq", b""), ("d/new.sh", SHELL)]);
        let last = tar(&[("./x.sh", SHELL)]);
        let diff_ids: Vec<String> = [&base, &middle, &last].iter().map(|layer| digest(layer)).collect();
        let config = serde_json::json!({
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "config": {
                "Entrypoint": ["/bin/sh", "-ec"],
                "Cmd": ["echo from the config"],
                "Healthcheck": { "Test": ["CMD-SHELL", "true || exit 1"] },
            },
        });
        Self { layers: vec![base, gzip(&middle), last], config: config.to_string().into_bytes() }
    }

    /// As `docker save` wrote it up to version 24: uncompressed layers, each in a folder.
    fn docker_archive(&self) -> Vec<u8> {
        let names: Vec<String> =
            self.layers.iter().map(|layer| format!("{}/layer.tar", hex(layer))).collect();
        let config = format!("{}.json", hex(&self.config));
        let manifest =
            serde_json::json!([{ "Config": config, "RepoTags": ["app:1"], "Layers": names }]).to_string();
        let mut entries: Vec<(&str, &[u8])> = Vec::new();
        entries.extend(names.iter().map(String::as_str).zip(self.layers.iter().map(Vec::as_slice)));
        entries.push((&config, &self.config));
        entries.push(("manifest.json", manifest.as_bytes()));
        tar(&entries)
    }

    /// The files of an OCI layout.
    fn layout(&self) -> Vec<(String, Vec<u8>)> {
        let layers: Vec<_> =
            self.layers.iter().map(|layer| serde_json::json!({ "digest": digest(layer) })).collect();
        let manifest =
            serde_json::json!({ "config": { "digest": digest(&self.config) }, "layers": layers }).to_string();
        let absent = format!("sha256:{}", "0".repeat(64));
        let manifests = serde_json::json!({
            "manifests": [{ "digest": digest(manifest.as_bytes()) }, { "digest": absent }],
        });
        // One index in another, as images for several machines have it.
        let inner = manifests.to_string();
        let index = serde_json::json!({ "manifests": [{ "digest": digest(inner.as_bytes()) }] }).to_string();
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.into_bytes()),
        ];
        let blobs = self.layers.iter().cloned().chain([self.config.clone(), manifest.into(), inner.into()]);
        files.extend(blobs.map(|blob| (format!("blobs/sha256/{}", hex(&blob)), blob)));
        files
    }

    fn expected(&self, name: &str, digests: &[String], hidden: bool) -> Vec<String> {
        let note = if hidden {
            Some(" | complete; a later layer of the image replaces or removes it")
        } else {
            None
        };
        let skipped = || "(removed by a later layer)".to_owned();
        let [base, middle, last] = digests else { panic!("three layers") };
        let of_base = |path: &str| note.map_or_else(skipped, |note| format!("{name}!/{base}!/{path}{note}"));
        vec![
            format!("{name}!/config!/Entrypoint"),
            format!("{name}!/config!/Healthcheck"),
            format!("{name}!/{last}!/./x.sh"),
            format!("{name}!/{middle}!/d/new.sh"),
            of_base("bin/gone.sh"),
            format!("{name}!/{base}!/bin/kept.sh"),
            of_base("d/old.sh"),
            of_base("x.sh"),
        ]
    }

    fn diff_ids(&self) -> Vec<String> {
        let middle = tar(&[("bin/.wh.gone.sh", b""), ("d/.wh..wh..opq", b""), ("d/new.sh", SHELL)]);
        vec![digest(&self.layers[0]), digest(&middle), digest(&self.layers[2])]
    }

    fn blob_digests(&self) -> Vec<String> {
        self.layers.iter().map(|layer| digest(layer)).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn entries(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

#[track_caller]
fn check_image(name: &str, bytes: &[u8], image: &Image, digests: &[String]) {
    for all_layers in [false, true] {
        let expected = image.expected(name, digests, all_layers);
        let options = Options { all_layers, ..Options::default() };
        check_with(&options, name, bytes, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn an_archive_of_docker_save_is_read_layer_by_layer() {
    let image = Image::new();
    check_image("app.tar", &image.docker_archive(), &image, &image.diff_ids());
    check_image("app.tar.gz", &gzip(&image.docker_archive()), &image, &image.diff_ids());
}

#[test]
fn an_oci_layout_is_read_as_an_archive_and_as_a_folder() {
    let image = Image::new();
    let files = image.layout();
    check_image("oci.tar", &tar(&entries(&files)), &image, &image.blob_digests());
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &files {
        write(folder.path(), name, bytes);
    }
    let found = found_with(&Options::default(), |reader| reader.path(folder.path()));
    assert_eq!(found, image.expected(&folder.path().display().to_string(), &image.blob_digests(), false));
}

#[test]
fn an_archive_with_both_manifests_is_read_once() {
    let image = Image::new();
    let mut files = image.layout();
    let blobs: Vec<String> =
        image.layers.iter().map(|layer| format!("blobs/sha256/{}", hex(layer))).collect();
    let config = format!("blobs/sha256/{}", hex(&image.config));
    let manifest = serde_json::json!([{ "Config": config, "Layers": blobs }]).to_string();
    files.push(("manifest.json".to_owned(), manifest.into_bytes()));
    check_image("app.tar", &tar(&entries(&files)), &image, &image.blob_digests());
}

#[test]
fn what_an_image_lacks_is_said() {
    let manifest = br#"[{"Config":"c.json","Layers":["a/layer.tar"]}]"#;
    let lacking = "x.tar!/a/layer.tar: the image lacks this layer";
    check("x.tar", &tar(&[("manifest.json", manifest)]), &[lacking]);
    let damaged = "x.tar: the image's manifest.json is damaged: expected value at line 1 column 1";
    check("x.tar", &tar(&[("manifest.json", b"x")]), &[damaged]);
}

#[test]
fn a_name_in_an_index_leads_to_nothing_outside_the_layout() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "outside.json", br#"{"layers":[{"digest":"sha256:x"}]}"#);
    let root = folder.path().join("layout");
    write(&root, "oci-layout", b"{}");
    write(
        &root,
        "index.json",
        br#"{"manifests":[{"digest":"../../outside.json"},{"digest":"/etc:passwd"}]}"#,
    );
    assert_eq!(found_with(&Options::default(), |reader| reader.path(&root)), Vec::<String>::new());
}
