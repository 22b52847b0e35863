//! The two parts of an ELF file that tell an interpreter, found as the program loader finds them: through the
//! program headers, since section headers can be stripped or lie.
//!
//! Owns: bounded reading. Whatever the headers claim, no more than the budget is read or allocated.

use super::ReadAt;
use object::elf::{
    DT_NEEDED, DT_NULL, DT_RELA, DT_RELASZ, DT_STRSZ, DT_STRTAB, DT_SYMTAB, FileHeader32, FileHeader64, PF_W,
    PF_X, Rela64,
};
use object::elf::{DynamicTag, PT_DYNAMIC, PT_LOAD, STT_FUNC};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{Endian, Endianness};
use std::ops::Range;

/// Most bytes that are read of one file.
const BUDGET: u64 = 16 * 1024 * 1024;
/// Most program headers; programs have about a dozen.
const HEADERS_MAX: u16 = 128;
/// Longest dynamic section and longest string table that are read; CPython's table has 50 KiB.
const DYNAMIC_MAX: u64 = 64 * 1024;
const STRINGS_MAX: u64 = 4 * 1024 * 1024;
/// Longest table of symbols that is read; CPython's has 150 KiB.
const SYMBOLS_MAX: u64 = 4 * 1024 * 1024;

/// What is looked at of a program.
pub(super) struct Image {
    /// The dynamic string table: names of symbols and of libraries, each ended by a NUL. Empty where there is none.
    pub(super) strings: Vec<u8>,
    /// Whether it needs no library.
    pub(super) is_static: bool,
    /// Where in the file the constants lie: read-only data first, then code, which in older layouts holds both.
    pub(super) constants: Vec<Range<u64>>,
}

/// Reads a file within the budget.
pub(super) struct Reader<'a> {
    file: &'a dyn ReadAt,
    left: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn ReadAt) -> Self {
        Self { file, left: BUDGET }
    }

    /// Up to `length` bytes at `offset`, fewer at the end of the file; None on an error or when the budget is spent.
    pub(super) fn read(&mut self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let length = length.min(self.left);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], offset.checked_add(filled as u64)?).ok()? {
                0 => break,
                count => filled += count.min(bytes.len() - filled),
            }
        }
        bytes.truncate(filled);
        self.left -= filled as u64;
        (filled > 0).then_some(bytes)
    }
}

/// Finds the parts; None for what is no ELF executable.
pub(super) fn open(reader: &mut Reader<'_>) -> Option<Image> {
    let head = reader.read(0, 64)?;
    match head.get(..5)? {
        b"\x7fELF\x02" => image::<FileHeader64<Endianness>>(reader, &head),
        b"\x7fELF\x01" => image::<FileHeader32<Endianness>>(reader, &head),
        _ => None,
    }
}

/// What a program loader reads first.
struct Headers<H: FileHeader> {
    endian: Endianness,
    segments: Vec<H::ProgramHeader>,
    /// Empty for what is linked statically.
    dynamic: Vec<H::Dyn>,
}

impl<H: FileHeader<Endian = Endianness>> Headers<H> {
    fn read(reader: &mut Reader<'_>, head: &[u8]) -> Option<Self> {
        let (header, _) = from_bytes::<H>(head).ok()?;
        let endian = header.endian().ok()?;
        let count = header.e_phnum(endian).min(HEADERS_MAX);
        let size = size_of::<H::ProgramHeader>() as u64;
        let bytes = reader.read(header.e_phoff(endian).into(), u64::from(count) * size)?;
        let (segments, _) = slice_from_bytes::<H::ProgramHeader>(&bytes, usize::from(count)).ok()?;
        let mut headers = Self { endian, segments: segments.to_vec(), dynamic: Vec::new() };
        if let Some(dynamic) = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC) {
            let (offset, length) = dynamic.file_range(endian);
            let bytes = reader.read(offset, length.min(DYNAMIC_MAX))?;
            let (entries, _) = slice_from_bytes::<H::Dyn>(&bytes, bytes.len() / size_of::<H::Dyn>()).ok()?;
            headers.dynamic = entries.to_vec();
        }
        Some(headers)
    }

    fn value(&self, tag: DynamicTag) -> Option<u64> {
        let mut entries = self.dynamic.iter().take_while(|entry| entry.tag(self.endian) != DT_NULL);
        entries.find(|entry| entry.tag(self.endian) == tag).map(|entry| entry.val(self.endian))
    }

    /// Where in the file the byte lies that is loaded at `address`.
    fn offset(&self, address: u64) -> Option<u64> {
        file_offset(&self.segments, self.endian, address)
    }
}

fn image<H: FileHeader<Endian = Endianness>>(reader: &mut Reader<'_>, head: &[u8]) -> Option<Image> {
    let headers = Headers::<H>::read(reader, head)?;
    let mut image = Image {
        strings: Vec::new(),
        is_static: headers.value(DT_NEEDED).is_none(),
        constants: constants(&headers.segments, headers.endian),
    };
    if let (Some(address), Some(length)) = (headers.value(DT_STRTAB), headers.value(DT_STRSZ)) {
        image.strings = reader.read(headers.offset(address)?, length.min(STRINGS_MAX))?;
    }
    Some(image)
}

/// Where in the file the code of these functions begins, as far as the file exports them: each with its place in `names`.
/// The tables are those that the program's own loader goes by; the order in which linkers lay them out tells where the
/// table of symbols ends.
pub(super) fn functions(reader: &mut Reader<'_>, names: &[&[u8]]) -> Option<Vec<(usize, u64)>> {
    let head = reader.read(0, 64)?;
    match head.get(..5)? {
        b"\x7fELF\x02" => functions_in::<FileHeader64<Endianness>>(reader, &head, names),
        b"\x7fELF\x01" => functions_in::<FileHeader32<Endianness>>(reader, &head, names),
        _ => None,
    }
}

fn functions_in<H: FileHeader<Endian = Endianness>>(
    reader: &mut Reader<'_>,
    head: &[u8],
    names: &[&[u8]],
) -> Option<Vec<(usize, u64)>> {
    let headers = Headers::<H>::read(reader, head)?;
    let endian = headers.endian;
    let mut found = Vec::new();
    exported(&headers, reader, names, |index, symbol| {
        let is_function = symbol.st_type() == STT_FUNC && found.len() < names.len();
        let offset = code_offset(&headers.segments, endian, symbol.st_value(endian).into());
        found.extend(offset.filter(|_| is_function).map(|offset| (index, offset)));
    })?;
    Some(found)
}

/// Hands out the symbols of these names that the file exports, each with its place in `names`.
fn exported<H: FileHeader<Endian = Endianness>>(
    headers: &Headers<H>,
    reader: &mut Reader<'_>,
    names: &[&[u8]],
    mut each: impl FnMut(usize, &H::Sym),
) -> Option<()> {
    let endian = headers.endian;
    let (strings_at, symbols_at) = (headers.value(DT_STRTAB)?, headers.value(DT_SYMTAB)?);
    let strings = headers.offset(strings_at)?;
    let strings = reader.read(strings, headers.value(DT_STRSZ)?.min(STRINGS_MAX))?;
    let length = strings_at.checked_sub(symbols_at).unwrap_or(SYMBOLS_MAX).min(SYMBOLS_MAX);
    let symbols = reader.read(headers.offset(symbols_at)?, length)?;
    let (symbols, _) = slice_from_bytes::<H::Sym>(&symbols, symbols.len() / size_of::<H::Sym>()).ok()?;

    let name_of = |symbol: &H::Sym| {
        let rest = strings.get(usize::try_from(symbol.st_name(endian)).ok()?..)?;
        rest.split(|byte| *byte == 0).next()
    };
    for symbol in symbols {
        let index = name_of(symbol).and_then(|name| names.iter().position(|wanted| *wanted == name));
        index.into_iter().for_each(|index| each(index, symbol));
    }
    Some(())
}

/// Where in the file the code at `address` lies; `None` where that is no code.
fn code_offset<P: ProgramHeader<Endian = E>, E: Endian>(
    segments: &[P],
    endian: E,
    address: u64,
) -> Option<u64> {
    segments.iter().find_map(|segment| {
        let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
        let (offset, length) = segment.file_range(endian);
        let is_code = segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_X);
        (is_code && inside < length).then(|| offset.checked_add(inside))?
    })
}

/// A 64-bit program or library, for reading its data as they stand when it starts.
pub(super) struct Binary {
    headers: Headers<FileHeader64<Endianness>>,
    /// Words that the loader writes: where, and what relative to the image. Read when a word is asked for.
    relocations: Option<Vec<(u64, u64)>>,
}

/// `R_X86_64_RELATIVE` and `R_AARCH64_RELATIVE`.
const RELATIVE: [u32; 2] = [8, 1027];
/// Longest table of relocations that is read; that of CPython's library has 500 KiB.
const RELOCATIONS_MAX: u64 = 4 * 1024 * 1024;

impl Binary {
    pub(super) fn open(reader: &mut Reader<'_>) -> Option<Self> {
        let head = reader.read(0, 64)?;
        (head.get(..5)? == b"\x7fELF\x02").then_some(())?;
        Some(Self { headers: Headers::read(reader, &head)?, relocations: None })
    }

    /// The addresses of functions and objects that are exported under these names.
    pub(super) fn symbols(&self, reader: &mut Reader<'_>, names: &[&[u8]]) -> Option<Vec<Option<u64>>> {
        let endian = self.headers.endian;
        let mut found = vec![None; names.len()];
        exported(&self.headers, reader, names, |index, symbol| {
            if let Some(place) = found.get_mut(index) {
                *place = Some(symbol.st_value(endian)).filter(|address| *address != 0);
            }
        })?;
        Some(found)
    }

    /// Where in the file the code at this address lies.
    pub(super) fn code_offset(&self, address: u64) -> Option<u64> {
        code_offset(&self.headers.segments, self.headers.endian, address)
    }

    /// Bytes at an address, as they stand in the file.
    pub(super) fn bytes(&self, reader: &mut Reader<'_>, address: u64, length: u64) -> Option<Vec<u8>> {
        let bytes = reader.read(self.headers.offset(address)?, length)?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    /// The word at an address, as the loader leaves it but for where it puts the image.
    pub(super) fn word(&mut self, reader: &mut Reader<'_>, address: u64) -> Option<u64> {
        let bytes = self.bytes(reader, address, 8)?;
        let word = u64::from_le_bytes(*bytes.first_chunk::<8>()?);
        if word != 0 {
            return Some(word);
        }
        if self.relocations.is_none() {
            self.relocations = Some(self.read_relocations(reader).unwrap_or_default());
        }
        let relocations = self.relocations.as_ref()?;
        let at = relocations.binary_search_by_key(&address, |(place, _)| *place);
        Some(at.ok().and_then(|at| relocations.get(at)).map_or(0, |(_, value)| *value))
    }

    fn read_relocations(&self, reader: &mut Reader<'_>) -> Option<Vec<(u64, u64)>> {
        let (start, size) = (self.headers.value(DT_RELA)?, self.headers.value(DT_RELASZ)?);
        let bytes = reader.read(self.headers.offset(start)?, size.min(RELOCATIONS_MAX))?;
        let endian = self.headers.endian;
        let (entries, _) =
            slice_from_bytes::<Rela64<Endianness>>(&bytes, bytes.len() / size_of::<Rela64<Endianness>>())
                .ok()?;
        let is_relative = |entry: &&Rela64<Endianness>| {
            RELATIVE.iter().any(|kind| entry.r_info.get(endian) == u64::from(*kind))
        };
        let mut found: Vec<(u64, u64)> = entries
            .iter()
            .filter(is_relative)
            .map(|entry| (entry.r_offset.get(endian), entry.r_addend.get(endian).cast_unsigned()))
            .collect();
        found.sort_unstable();
        Some(found)
    }
}

/// The read-only parts of the memory image.
fn constants<P: ProgramHeader<Endian = E>, E: Endian>(segments: &[P], endian: E) -> Vec<Range<u64>> {
    let flags = |segment: &P, flag| segment.p_flags(endian).contains(flag);
    let mut found: Vec<&P> = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD && !flags(segment, PF_W))
        .collect();
    found.sort_by_key(|segment| flags(segment, PF_X));
    let range = |segment: &&P| {
        let (offset, length) = segment.file_range(endian);
        offset..offset.saturating_add(length)
    };
    found.iter().map(range).collect()
}

/// Where in the file the byte lies that is loaded at `address`.
fn file_offset<P: ProgramHeader<Endian = E>, E: Endian>(
    segments: &[P],
    endian: E,
    address: u64,
) -> Option<u64> {
    segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
        let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
        let (offset, length) = segment.file_range(endian);
        (inside < length).then(|| offset.checked_add(inside))?
    })
}
