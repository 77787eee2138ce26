//! The parts of a workbook's archive, and their XML.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use zip::ZipArchive;

use crate::import::sheet::Unreadable;

/// The parts of a workbook by their paths, in any case and with either slash.
pub(super) struct Parts<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    at: HashMap<String, usize>,
}

pub(super) fn damaged(error: &dyn std::error::Error) -> Unreadable {
    Unreadable::Damaged(error.to_string())
}

impl<'a> Parts<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))?;
        let mut at = HashMap::new();
        for index in 0..zip.len() {
            let part = zip.by_index(index).map_err(|e| damaged(&e))?;
            let name = part.name().map_err(|e| damaged(&e))?;
            at.insert(name.replace('\\', "/").to_ascii_lowercase(), index);
        }
        Ok(Self { zip, at })
    }

    /// Whether a program is among them.
    pub(super) fn has_macros(&self) -> bool {
        self.at
            .keys()
            .any(|path| path.ends_with("vbaproject.bin") || path.starts_with("xl/macrosheets/"))
    }

    /// The XML of a part; empty if there is no such part.
    pub(super) fn xml(&mut self, path: &str) -> Result<String, Unreadable> {
        let Some(index) = self.at.get(&path.to_ascii_lowercase()) else {
            return Ok(String::new());
        };
        let mut part = self.zip.by_index(*index).map_err(|e| damaged(&e))?;
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
        let text = String::from_utf8(bytes).map_err(|e| damaged(&e))?;
        Ok(text.trim_start_matches('\u{FEFF}').to_owned())
    }

    /// The targets of a part's relations of this kind by their ids.
    pub(super) fn related(&mut self, path: &str, kind: &str) -> Result<HashMap<String, String>, Unreadable> {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let xml = self.xml(format!("{folder}/_rels/{file}.rels").trim_start_matches('/'))?;
        let mut targets = HashMap::new();
        each(&xml, |event, _| {
            if let Event::Start(e) | Event::Empty(e) = event
                && e.local_name().as_ref() == "Relationship"
                && attribute(e, "Type").is_some_and(|found| found.rsplit('/').next() == Some(kind))
                && let (Some(id), Some(target)) = (attribute(e, "Id"), attribute(e, "Target"))
            {
                targets.insert(id, resolved(folder, &target));
            }
        })?;
        Ok(targets)
    }
}

/// The path that a target in a folder leads to.
fn resolved(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    let mut path: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.join("/")
}

/// Hands each event over with the text that is written in it, if it is text.
pub(super) fn each(xml: &str, mut take: impl FnMut(&Event<'_>, &str)) -> Result<(), Unreadable> {
    let mut reader = Reader::from_str(xml);
    loop {
        let event = reader.read_event().map_err(|e| damaged(&e))?;
        match &event {
            Event::Eof => return Ok(()),
            Event::Text(text) => take(&event, &text.xml10_content()),
            Event::CData(text) => take(&event, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let resolved = name.resolve_char_ref().map_err(|e| damaged(&e))?;
                let text = match (&*name.xml10_content(), resolved) {
                    (_, Some(c)) => c.to_string(),
                    ("amp", _) => "&".to_owned(),
                    ("lt", _) => "<".to_owned(),
                    ("gt", _) => ">".to_owned(),
                    ("quot", _) => "\"".to_owned(),
                    ("apos", _) => "'".to_owned(),
                    _ => return Err(Unreadable::Damaged("an entity of its own".to_owned())),
                };
                take(&event, &text);
            }
            _ => take(&event, ""),
        }
    }
}

/// The value of an attribute, whatever its prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let value = quick_xml::escape::unescape(&found.value).ok()?;
    Some(value.into_owned())
}

/// Whether a switch such as `hidden="1"` is on; one without a value is.
pub(super) fn is_on(element: &BytesStart<'_>, name: &str, unsaid: bool) -> bool {
    attribute(element, name).map_or(unsaid, |value| matches!(value.as_str(), "1" | "true"))
}
