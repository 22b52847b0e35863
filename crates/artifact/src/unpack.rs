//! What a file or stream is, and what it holds: a script, a compressed file, an archive, an image.
//!
//! Owns: the order in which content is looked at, and the names of what is found inside.
//! Refuses: extracting. An entry is read in place, whatever its name says.

use crate::decode::{Compression, decode};
use crate::image::{self, Blobs, Image};
use crate::item::{Item, Note, Script, Skipped};
use crate::language::{self, PREFIX};
use crate::layers::{self, Hidden};
use crate::limits::Account;
use crate::seekable::{Once, Part, Seekable, Stream};
use crate::shape::{Shape, shape};
use crate::tar::{self, Kind, Tar};
use crate::zip::{self, Zip};
use crate::{Fault, Flow, Options, Text};
use evidence::{Language, Untrusted};
use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::ControlFlow::Continue;
use std::path::Path;

/// Where something was found.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As it is shown.
    path: Vec<u8>,
    /// What says by its ending what it is.
    name: Vec<u8>,
    depth: u32,
    is_named: bool,
    /// A later layer replaces or removes it.
    is_hidden: bool,
}

impl Place {
    /// What the caller named (`is_named`), or found in a folder.
    pub(crate) fn root(path: Untrusted, is_named: bool) -> Self {
        Self { name: path.0.clone(), path: path.0, depth: 0, is_named, is_hidden: false }
    }

    /// Something inside, one archive deeper.
    fn inside(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        path.extend_from_slice(b"!/");
        path.extend_from_slice(name);
        Self { path, name: name.to_vec(), depth: self.depth + 1, is_named: false, is_hidden: self.is_hidden }
    }

    /// The same, without its compression.
    fn decoded(&self, compression: Compression) -> Self {
        let name = compression.inner_name(&self.name);
        Self { name, depth: self.depth + 1, ..self.clone() }
    }
}

/// The layers of an image, from the last to the first, as they are read.
struct Layers<'l> {
    hidden: Hidden,
    /// What was handed over of an earlier image of the same archive, by layer and path.
    done: &'l mut HashSet<(usize, layers::Key)>,
    /// Number of the layer's content.
    layer: usize,
}

/// Reads one named file or stream.
pub(crate) struct Unpack<'a> {
    options: &'a Options,
    account: &'a Account<'a>,
    sink: &'a mut dyn FnMut(Item) -> Flow,
}

impl<'a> Unpack<'a> {
    pub(crate) fn new(
        options: &'a Options,
        account: &'a Account<'a>,
        sink: &'a mut dyn FnMut(Item) -> Flow,
    ) -> Self {
        Self { options, account, sink }
    }

    /// Reads a file.
    pub(crate) fn file(&mut self, place: &Place, file: &Seekable<'_>) -> Flow {
        self.content(place, &mut file.part(0, u64::MAX), Some(file))?;
        self.settle(place)
    }

    /// Reads a stream.
    pub(crate) fn stream(&mut self, place: &Place, stream: &mut dyn Read) -> Flow {
        self.content(place, stream, None)?;
        self.settle(place)
    }

    /// Reads a folder that is an OCI image layout.
    pub(crate) fn layout(&mut self, place: &Place, folder: &Path) -> Flow {
        self.images(place, &Blobs::Folder(folder))?;
        self.settle(place)
    }

    /// Says once what was refused of all below.
    fn settle(&mut self, place: &Place) -> Flow {
        match self.account.refusal() {
            Some(why) => {
                (self.sink)(Item::Unread { path: place.path.clone().into(), fault: Fault::Refused(why) })
            }
            None => Continue(()),
        }
    }

    fn unread(&mut self, place: &Place, fault: impl Into<Fault>) -> Flow {
        // All that fails behind a refusal fails for that reason.
        if self.account.refusal().is_some() {
            return Continue(());
        }
        (self.sink)(Item::Unread { path: place.path.clone().into(), fault: fault.into() })
    }

    /// Reads whatever this is; `file` is the same content where it can be read in any order.
    fn content(&mut self, place: &Place, stream: &mut dyn Read, file: Option<&Seekable<'_>>) -> Flow {
        let mut prefix = Vec::with_capacity(PREFIX);
        if let Err(error) = (&mut *stream).take(PREFIX as u64).read_to_end(&mut prefix) {
            return self.unread(place, error);
        }
        let by_look = language::of_name(&place.name).or_else(|| language::of_shebang(&prefix));
        let mut whole = prefix.as_slice().chain(stream);
        // Python runs a zip archive whatever its name is; anything else that is called a script is none of these.
        let is_zip = zip::is_zip(&prefix);
        let compression = Compression::of(&prefix).filter(|_| by_look.is_none());
        let is_tar = by_look.is_none() && tar::is_tar(&prefix);
        if (is_zip || compression.is_some() || is_tar) && place.depth >= self.options.limits.depth {
            return self.unread(place, Fault::TooDeep(place.depth));
        }
        match compression {
            _ if is_zip => self.zip(place, &mut whole, file),
            Some(compression) => self.compressed(place, compression, &mut whole),
            None if is_tar => self.tar(place, &prefix, &mut whole, file),
            None => self.script(place, by_look, &mut whole),
        }
    }

    fn compressed(&mut self, place: &Place, compression: Compression, stream: &mut dyn Read) -> Flow {
        let inner = place.decoded(compression);
        let account = self.account;
        match decode(compression, stream, account, |decoded| self.content(&inner, decoded, None)) {
            Ok(flow) => flow,
            Err(error) => self.unread(place, error),
        }
    }

    fn zip(&mut self, place: &Place, stream: &mut dyn Read, file: Option<&Seekable<'_>>) -> Flow {
        let copied = match file {
            Some(_) => Ok(Seekable::Bytes(Vec::new())),
            None => Seekable::copy(stream),
        };
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => return self.unread(place, error),
        };
        let zip = match Zip::open(file.unwrap_or(&copied)) {
            Ok(zip) => zip,
            Err(error) => return self.unread(place, error),
        };
        let account = self.account;
        let read = zip.entries(&mut |entry| {
            account.add_entry()?;
            Ok(self.zip_entry(place, &zip, &entry))
        });
        match read {
            Ok(flow) => flow,
            Err(error) => self.unread(place, error),
        }
    }

    fn zip_entry(&mut self, place: &Place, zip: &Zip<'_>, entry: &zip::Entry) -> Flow {
        let inner = place.inside(&entry.path);
        if entry.is_link {
            return (self.sink)(Item::Skipped(Skipped::Link));
        }
        if entry.is_encrypted {
            return self.unread(&inner, Fault::Encrypted);
        }
        let account = self.account;
        match zip.content(entry, account, |content| self.content(&inner, content, None)) {
            Ok(flow) => flow,
            Err(error) => self.unread(&inner, error),
        }
    }

    /// A tar archive, which may be an image.
    fn tar(
        &mut self,
        place: &Place,
        prefix: &[u8],
        stream: &mut dyn Read,
        file: Option<&Seekable<'_>>,
    ) -> Flow {
        let copied = match file {
            None if image::looks_like_one(prefix) => match Seekable::copy(stream) {
                Ok(copied) => Some(copied),
                Err(error) => return self.unread(place, error),
            },
            _ => None,
        };
        let Some(whole) = file.or(copied.as_ref()) else {
            return self.entries(place, Once(stream), None);
        };
        match image::index(whole, self.account) {
            Ok(Some(index)) => self.images(place, &Blobs::Tar(whole, index)),
            Ok(None) => self.entries(place, whole.part(0, u64::MAX), None),
            // A damaged archive is read as far as it goes, which then tells the damage.
            Err(_) => self.entries(place, whole.part(0, u64::MAX), None),
        }
    }

    fn entries<S: Stream>(&mut self, place: &Place, stream: S, mut layers: Option<&mut Layers<'_>>) -> Flow {
        let mut tar = Tar::new(stream);
        loop {
            let next = tar.next().and_then(|entry| self.account.add_entry().map(|()| entry));
            match next {
                Ok(Some(entry)) => self.entry(place, &entry, &mut tar, layers.as_deref_mut())?,
                Ok(None) => return Continue(()),
                Err(error) => return self.unread(place, error),
            }
        }
    }

    fn entry(
        &mut self,
        place: &Place,
        entry: &tar::Entry,
        content: &mut dyn Read,
        layers: Option<&mut Layers<'_>>,
    ) -> Flow {
        if entry.kind == Kind::Folder {
            return Continue(());
        }
        let mut inner = place.inside(&entry.path);
        if let Some(layers) = layers {
            match layers.hidden.entry(&entry.path) {
                layers::Entry::Whiteout => return Continue(()),
                layers::Entry::Hidden if !self.options.all_layers => {
                    return (self.sink)(Item::Skipped(Skipped::Hidden));
                }
                layers::Entry::Hidden => inner.is_hidden = true,
                layers::Entry::Seen => {}
            }
            if !layers.done.insert((layers.layer, layers::key_of(&entry.path))) {
                return Continue(());
            }
        }
        match entry.kind {
            Kind::File => self.content(&inner, content, None),
            Kind::Link => (self.sink)(Item::Skipped(Skipped::Link)),
            Kind::Folder | Kind::Other => Continue(()),
        }
    }

    /// All images of an archive or layout.
    fn images(&mut self, place: &Place, blobs: &Blobs<'_>) -> Flow {
        let (images, faults) = image::images(blobs);
        for fault in faults {
            self.unread(place, Fault::Image(fault))?;
        }
        let mut done = HashSet::new();
        let mut numbers = Vec::new();
        for image in &images {
            self.image(place, blobs, image, &mut numbers, &mut done)?;
        }
        Continue(())
    }

    fn image(
        &mut self,
        place: &Place,
        blobs: &Blobs<'_>,
        image: &Image,
        numbers: &mut Vec<String>,
        done: &mut HashSet<(usize, layers::Key)>,
    ) -> Flow {
        for (name, language, text) in &image.commands {
            if !numbers.contains(text) {
                numbers.push(text.clone());
                self.command(place, name, *language, text)?;
            }
        }
        let mut layers = Layers { hidden: Hidden::default(), done, layer: 0 };
        for layer in image.layers.iter().rev() {
            layers.layer = numbers.iter().position(|name| *name == layer.blob).unwrap_or(numbers.len());
            if layers.layer == numbers.len() {
                numbers.push(layer.blob.clone());
            }
            let inner = place.inside(layer.digest.as_bytes());
            match blobs.open(&layer.blob) {
                Ok(Some((blob, offset, size))) => {
                    self.layer(&inner, &mut blob.whole().part(offset, size), &mut layers)?;
                }
                Ok(None) => self.unread(&inner, Fault::Image("the image lacks this layer".to_owned()))?,
                Err(fault) => self.unread(&inner, fault)?,
            }
            layers.hidden.next_layer();
        }
        Continue(())
    }

    /// What an image runs by itself.
    fn command(&mut self, place: &Place, name: &str, language: Language, text: &str) -> Flow {
        let path = place.inside(format!("config!/{name}").as_bytes()).path.into();
        let text = Text::of(text.as_bytes().to_vec(), self.options.limits.text);
        let notes = omission(&text);
        (self.sink)(Item::Script(Script { path, id: None, language, text, notes }))
    }

    fn layer(&mut self, place: &Place, part: &mut Part<'_>, layers: &mut Layers<'_>) -> Flow {
        let mut prefix = Vec::with_capacity(PREFIX);
        if let Err(error) = part.take(PREFIX as u64).read_to_end(&mut prefix) {
            return self.unread(place, error);
        }
        let mut whole = prefix.as_slice().chain(part);
        let account = self.account;
        match Compression::of(&prefix) {
            Some(compression) => {
                let read = decode(compression, &mut whole, account, |decoded| {
                    self.entries(place, Once(decoded), Some(layers))
                });
                match read {
                    Ok(flow) => flow,
                    Err(error) => self.unread(place, error),
                }
            }
            // Layers of other kinds hold no files: attestations, signatures.
            None if !prefix.is_empty() && !tar::is_tar(&prefix) && prefix.iter().any(|&byte| byte != 0) => {
                (self.sink)(Item::Skipped(Skipped::NotAScript))
            }
            None => self.entries(place, Once(&mut whole), Some(layers)),
        }
    }

    /// Hands over a stream if it is a script; if a person has named it, it is one.
    fn script(&mut self, place: &Place, by_look: Option<Language>, stream: &mut dyn Read) -> Flow {
        if by_look.is_none() && !place.is_named {
            return (self.sink)(Item::Skipped(Skipped::NotAScript));
        }
        let limits = &self.options.limits;
        let (mut text, error) =
            Text::read(&mut stream.take(limits.longest_script.saturating_add(1)), limits.text);
        let mut notes = Vec::new();
        if let Some(error) = error {
            // What came before is judged, and counted as not wholly read.
            notes.push(Note::CutOff(error.to_string()));
            self.unread(place, error)?;
            if text.size == 0 {
                return Continue(());
            }
        }
        if text.size > limits.longest_script {
            notes.push(Note::TooLong(limits.longest_script));
        }
        notes.extend(omission(&text));
        if notes.is_empty() {
            match shape(&place.name, &text.head) {
                Shape::Whole => {}
                Shape::Part(code, note) => {
                    text.head = code;
                    notes.push(note);
                }
                Shape::Nothing => return (self.sink)(Item::Skipped(Skipped::NotAScript)),
            }
        }
        if text.head.contains(&0) || text.tail.contains(&0) {
            notes.push(Note::Binary);
        }
        if place.is_hidden {
            notes.push(Note::Hidden);
        }
        let language = self.options.language.or(by_look).unwrap_or_else(|| language::guess(&text.head));
        let path = place.path.clone().into();
        (self.sink)(Item::Script(Script { path, id: None, language, text, notes }))
    }
}

fn omission(text: &Text) -> Vec<Note> {
    match text.omitted() {
        0 => Vec::new(),
        omitted => vec![Note::HeadAndTail { omitted, size: text.size }],
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}
