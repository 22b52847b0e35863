//! Container images: what `docker save` writes, and OCI's image layout, as a folder or in a tar archive.
//!
//! Owns: which layers an image has, in which order, and what it runs by itself.
//! Formats: OCI `image-layout.md`, `manifest.md` and `config.md`; Docker's `manifest.json`.

use crate::Fault;
use crate::file::{self, Opened};
use crate::language;
use crate::limits::Account;
use crate::seekable::Seekable;
use crate::tar::{Kind, Tar};
use evidence::Language;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Bytes of a manifest, an index or a config.
const DOCUMENT: u64 = 8 << 20;

/// Entries of an archive that could be parts of an image.
const PARTS: usize = 20_000;

/// Images of an archive, and layers of all of them.
const IMAGES: usize = 256;
const LAYERS: usize = 4096;

/// Indexes inside each other.
const NESTING: u32 = 3;

/// Where the parts of an image lie in an archive: offset and size by name.
pub(crate) type Index = HashMap<String, (u64, u64)>;

/// The parts of images.
pub(crate) enum Blobs<'a> {
    Tar(&'a Seekable<'a>, Index),
    Folder(&'a Path),
}

/// A part that can be read.
pub(crate) enum Blob<'a> {
    InArchive(&'a Seekable<'a>),
    File(Seekable<'a>),
}

/// One image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// From the first to the last.
    pub(crate) layers: Vec<Layer>,
    /// Scripts that it runs by itself: where they stand, their language, their text.
    pub(crate) commands: Vec<(&'static str, Language, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// As it is shown.
    pub(crate) digest: String,
    /// Name of the part.
    pub(crate) blob: String,
}

#[derive(Deserialize)]
struct DockerManifest {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

/// An index or a manifest.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default)]
    config: Option<Run>,
}

#[derive(Deserialize, Default)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Run {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize)]
struct Healthcheck {
    #[serde(rename = "Test")]
    test: Option<Vec<String>>,
}

impl<'a> Blob<'a> {
    pub(crate) fn whole(&self) -> &Seekable<'a> {
        match self {
            Self::InArchive(whole) => whole,
            Self::File(file) => file,
        }
    }
}

impl<'a> Blobs<'a> {
    /// A part by its name: what holds it, its offset and size. None where there is no such part.
    pub(crate) fn open(&self, name: &str) -> Result<Option<(Blob<'a>, u64, u64)>, Fault> {
        match self {
            Self::Tar(whole, index) => {
                Ok(index.get(name).map(|&(offset, size)| (Blob::InArchive(whole), offset, size)))
            }
            Self::Folder(root) => {
                // A name leads to nothing but files of the layout.
                let is_plain = |part: &str| {
                    !matches!(part, "" | "." | "..")
                        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                };
                let path = root.join(name);
                if !name.split('/').all(is_plain) || !path.try_exists()? {
                    return Ok(None);
                }
                match file::open(&path)? {
                    Opened::File(file) => Ok(Some((Blob::File(Seekable::File(file, None)), 0, u64::MAX))),
                    Opened::Folder => Ok(None),
                }
            }
        }
    }

    fn document<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, String> {
        let shown = evidence::text::escape(name.as_bytes()).to_string();
        let Some((blob, offset, size)) =
            self.open(name).map_err(|fault| format!("the image's {shown} {fault}"))?
        else {
            return Ok(None);
        };
        let mut text = Vec::new();
        let mut part = blob.whole().part(offset, size.min(DOCUMENT));
        part.read_to_end(&mut text)
            .map_err(|error| format!("the image's {shown} cannot be read: {error}"))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| format!("the image's {shown} is damaged: {error}"))
    }
}

/// Whether a folder is an OCI image layout.
pub(crate) fn is_layout(folder: &Path) -> bool {
    folder.join("oci-layout").is_file() && folder.join("index.json").is_file()
}

/// Whether a tar archive begins as images do, so that it is worth a copy to be read in any order.
pub(crate) fn looks_like_one(prefix: &[u8]) -> bool {
    let name = prefix.get(..100).unwrap_or_default();
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let starts = [&b"blobs/"[..], b"oci-layout", b"index.json", b"manifest.json", b"repositories"];
    let is_hash = name.get(..64).is_some_and(|hash| hash.iter().all(u8::is_ascii_hexdigit));
    is_hash || starts.iter().any(|start| name.starts_with(start))
}

/// The parts of an image in a tar archive; none where it is no image.
pub(crate) fn index(whole: &Seekable<'_>, account: &Account<'_>) -> std::io::Result<Option<Index>> {
    let mut index = Index::new();
    let mut links = Vec::new();
    let mut tar = Tar::new(whole.part(0, u64::MAX));
    while let Some(entry) = tar.next()? {
        account.add_entry()?;
        let Ok(path) = String::from_utf8(entry.path) else { continue };
        let name = path.trim_start_matches("./").to_owned();
        let is_part = name.starts_with("blobs/")
            || [".json", ".tar", "oci-layout"].iter().any(|ending| name.ends_with(ending))
            || name.ends_with(".tar.gz");
        if !is_part || index.len() + links.len() >= PARTS {
            continue;
        }
        match (entry.kind, entry.target) {
            (Kind::File, _) => drop(index.insert(name, (entry.offset, entry.size))),
            (Kind::Link, Some(target)) => links.push((name, String::from_utf8_lossy(&target).into_owned())),
            _ => {}
        }
    }
    // Docker once wrote a layer that occurs twice as a link to the other: `../ID/layer.tar`.
    for (name, target) in links {
        if let Some(&place) = index.get(target.trim_start_matches("../")) {
            index.entry(name).or_insert(place);
        }
    }
    let is_image = index.contains_key("manifest.json")
        || (index.contains_key("oci-layout") && index.contains_key("index.json"));
    Ok(is_image.then_some(index))
}

/// All images, each set of layers once, and what is wrong with others.
pub(crate) fn images(blobs: &Blobs<'_>) -> (Vec<Image>, Vec<String>) {
    let mut found = Found { blobs, images: Vec::new(), faults: Vec::new(), layers: 0 };
    match blobs.document::<Vec<DockerManifest>>("manifest.json") {
        Ok(manifests) => manifests.into_iter().flatten().for_each(|manifest| found.docker(&manifest)),
        Err(fault) => found.faults.push(fault),
    }
    found.document("index.json", 0);
    (found.images, found.faults)
}

struct Found<'a> {
    blobs: &'a Blobs<'a>,
    images: Vec<Image>,
    faults: Vec<String>,
    layers: usize,
}

impl Found<'_> {
    fn docker(&mut self, manifest: &DockerManifest) {
        let config = self.config(&manifest.config);
        let layers = manifest.layers.iter().flatten().enumerate().map(|(at, blob)| {
            let blob = blob.trim_start_matches("./").to_owned();
            let by_name = blob.strip_prefix("blobs/").map(|digest| digest.replacen('/', ":", 1));
            let digest = by_name.or_else(|| config.rootfs.diff_ids.get(at).cloned());
            Layer { digest: digest.unwrap_or_else(|| blob.clone()), blob }
        });
        let layers = layers.collect();
        self.add(Image { layers, commands: commands(config) });
    }

    fn document(&mut self, name: &str, nesting: u32) {
        match self.blobs.document::<Document>(name) {
            // An index may name images for other machines that are not there.
            Ok(None) => {}
            Ok(Some(document)) if document.layers.is_empty() => {
                if nesting > NESTING {
                    self.faults.push("the image's index is nested too deep".to_owned());
                    return;
                }
                for manifest in document.manifests.iter().take(IMAGES) {
                    if self.images.len() < IMAGES {
                        self.document(&blob(&manifest.digest), nesting + 1);
                    }
                }
            }
            Ok(Some(document)) => {
                let config = document.config.map(|config| self.config(&blob(&config.digest)));
                let layers = document.layers.into_iter();
                let layers = layers.map(|layer| Layer { blob: blob(&layer.digest), digest: layer.digest });
                let layers = layers.collect();
                self.add(Image { layers, commands: config.map(commands).unwrap_or_default() });
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    fn config(&mut self, name: &str) -> Config {
        match self.blobs.document(name) {
            Ok(config) => config.unwrap_or_default(),
            Err(fault) => {
                self.faults.push(fault);
                Config::default()
            }
        }
    }

    fn add(&mut self, image: Image) {
        if self.images.iter().any(|known| {
            known.layers.iter().map(|layer| &layer.blob).eq(image.layers.iter().map(|layer| &layer.blob))
        }) {
            return;
        }
        self.layers += image.layers.len();
        if self.images.len() >= IMAGES || self.layers > LAYERS {
            self.faults.push("the archive holds more images or layers than are read".to_owned());
            return;
        }
        self.images.push(image);
    }
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Scripts that stand in a config: `sh -c TEXT` and its kin.
fn commands(config: Config) -> Vec<(&'static str, Language, String)> {
    let run = config.config.unwrap_or_default();
    let mut line = run.entrypoint.unwrap_or_default();
    line.extend(run.cmd.unwrap_or_default());
    let mut found = Vec::new();
    found.extend(inline(&line).map(|(language, text)| ("Entrypoint", language, text)));
    let test = run.healthcheck.and_then(|check| check.test).unwrap_or_default();
    let check = match test.split_first() {
        Some((kind, [text, ..])) if kind == "CMD-SHELL" => Some((Language::Shell, text.clone())),
        Some((kind, line)) if kind == "CMD" => inline(line),
        _ => None,
    };
    found.extend(check.map(|(language, text)| ("Healthcheck", language, text)));
    found
}

fn inline(line: &[String]) -> Option<(Language, String)> {
    let (program, rest) = line.split_first()?;
    let language = language::of_program(language::base_name(program.as_bytes()))?;
    let at = rest
        .iter()
        .position(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'))?;
    Some((language, rest.get(at + 1)?.clone()))
}
