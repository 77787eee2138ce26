//! What a workbook says about its cells beside their values: super- and subscripts, struck-out text, merged cells, hidden
//! rows, and what lies on the cells.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use quick_xml::events::{BytesStart, Event};

use super::{
    parts::{Parts, attribute, each, is_on},
    script::Script,
};
use crate::import::sheet::Unreadable;

/// How text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Font {
    pub script: Script,
    pub struck: bool,
}

/// Text in one font; without one it has the cell's.
pub(super) type Run = (Option<Font>, String);

/// A cell by its row and column, both from 0.
pub(super) type At = (u32, u32);

/// What a sheet says about its cells.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The texts of cells that are written in several fonts.
    pub runs: HashMap<At, Rc<[Run]>>,
    /// The fonts of cells, where they say something.
    pub fonts: HashMap<At, Font>,
    /// The upper left and lower right cells of merged ones.
    pub merged: Vec<(At, At)>,
    /// Hidden rows, from 0.
    pub hidden: Vec<u32>,
    /// The cells that pictures and drawings lie on, by their upper left corner.
    pub pictures: Vec<At>,
}

/// What all sheets share.
pub(super) struct Book {
    /// The paths of the sheets by their names.
    sheets: HashMap<String, String>,
    /// The fonts of styles.
    styles: Vec<Font>,
    /// The runs of shared strings that are written in several fonts.
    strings: HashMap<usize, Rc<[Run]>>,
    /// The parts that were read: none is read twice.
    read: HashSet<String>,
}

impl Book {
    pub(super) fn of(parts: &mut Parts<'_>) -> Result<Self, Unreadable> {
        let book = parts.related("", "officeDocument")?.into_values().next();
        let book = book.unwrap_or_else(|| "xl/workbook.xml".to_owned());
        let targets = parts.related(&book, "worksheet")?;
        let mut sheets = HashMap::new();
        each(&parts.xml(&book)?, |event, _| {
            if let Event::Start(e) | Event::Empty(e) = event
                && e.local_name().as_ref() == "sheet"
                && let (Some(name), Some(id)) = (attribute(e, "name"), attribute(e, "id"))
                && let Some(path) = targets.get(&id)
            {
                sheets.insert(name, path.clone());
            }
        })?;
        let styles = match parts.related(&book, "styles")?.into_values().next() {
            Some(path) => styles(&parts.xml(&path)?)?,
            None => Vec::new(),
        };
        let strings = match parts.related(&book, "sharedStrings")?.into_values().next() {
            Some(path) => strings(&parts.xml(&path)?)?,
            None => HashMap::new(),
        };
        Ok(Self {
            sheets,
            styles,
            strings,
            read: HashSet::new(),
        })
    }

    /// The marks of a sheet.
    pub(super) fn marks(&mut self, parts: &mut Parts<'_>, sheet: &str) -> Result<Marks, Unreadable> {
        let Some(path) = self.sheets.get(sheet).cloned() else {
            return Ok(Marks::default());
        };
        if !self.read.insert(path.clone()) {
            return Err(Unreadable::Damaged("two of its sheets are the same part".to_owned()));
        }
        let mut reading = Reading::of(self);
        each(&parts.xml(&path)?, |event, text| reading.take(event, text))?;
        let mut marks = reading.marks;
        for drawing in parts.related(&path, "drawing")?.into_values() {
            if self.read.insert(drawing.clone()) {
                marks.pictures.extend(anchors(&parts.xml(&drawing)?)?);
            }
        }
        Ok(marks)
    }
}

/// A sheet as it is being read.
struct Reading<'b> {
    book: &'b Book,
    marks: Marks,
    row: u32,
    column: u32,
    is_shared: bool,
    in_value: bool,
    value: String,
    runs: Runs,
}

impl<'b> Reading<'b> {
    fn of(book: &'b Book) -> Self {
        Self {
            book,
            marks: Marks::default(),
            row: 0,
            column: 0,
            is_shared: false,
            in_value: false,
            value: String::new(),
            runs: Runs::default(),
        }
    }

    fn take(&mut self, event: &Event<'_>, text: &str) {
        match event {
            Event::Start(e) | Event::Empty(e) => match e.local_name().as_ref() {
                "row" => {
                    let number = attribute(e, "r").and_then(|r| r.parse::<u32>().ok());
                    self.row = number.unwrap_or(self.row + 1);
                    self.column = 0;
                    if is_on(e, "hidden", false) {
                        self.marks.hidden.push(self.row.saturating_sub(1));
                    }
                }
                "c" => self.begin_cell(e),
                "v" => self.in_value = matches!(event, Event::Start(_)),
                "mergeCell" => {
                    let range = attribute(e, "ref");
                    let corners = range.as_deref().and_then(|range| range.split_once(':'));
                    if let Some((Some(first), Some(last))) = corners.map(|(a, b)| (position(a), position(b))) {
                        self.marks.merged.push((first, last));
                    }
                }
                _ => self.runs.take(event, text),
            },
            Event::End(e) if e.local_name().as_ref() == "c" => self.end_cell(),
            Event::End(e) if e.local_name().as_ref() == "v" => self.in_value = false,
            _ if self.in_value => self.value.push_str(text),
            _ => self.runs.take(event, text),
        }
    }

    fn begin_cell(&mut self, cell: &BytesStart<'_>) {
        let given = attribute(cell, "r").as_deref().and_then(position);
        let (row, column) = given.unwrap_or((self.row.saturating_sub(1), self.column));
        (self.row, self.column) = (row.saturating_add(1), column.saturating_add(1));
        self.is_shared = attribute(cell, "t").as_deref() == Some("s");
        self.value.clear();
        self.runs = Runs::default();
        let style = attribute(cell, "s").and_then(|style| style.parse::<usize>().ok());
        let font = style.and_then(|style| self.book.styles.get(style)).copied();
        if let Some(font) = font.filter(|font| *font != Font::default()) {
            self.marks.fonts.insert((row, column), font);
        }
    }

    fn end_cell(&mut self) {
        let at = (self.row.saturating_sub(1), self.column.saturating_sub(1));
        let runs = match self.is_shared {
            true => {
                let index = self.value.trim().parse::<usize>().ok();
                index.and_then(|index| self.book.strings.get(&index)).cloned()
            }
            false => std::mem::take(&mut self.runs).several(),
        };
        if let Some(runs) = runs {
            self.marks.runs.insert(at, runs);
        }
    }
}

/// The runs of one string.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    /// Within a run and its properties.
    in_run: bool,
    in_text: bool,
    /// Within a reading aid, which is no part of the text.
    in_phonetic: bool,
    font: Option<Font>,
}

impl Runs {
    fn take(&mut self, event: &Event<'_>, text: &str) {
        match event {
            Event::Start(e) | Event::Empty(e) => match e.local_name().as_ref() {
                "r" => (self.in_run, self.font) = (true, None),
                "rPr" if self.in_run => self.font = Some(Font::default()),
                "rPh" => self.in_phonetic = matches!(event, Event::Start(_)),
                "t" if matches!(event, Event::Start(_)) && !self.in_phonetic => {
                    self.in_text = true;
                    self.runs.push((self.font, String::new()));
                }
                name => {
                    if let Some(font) = &mut self.font {
                        font.say(name, e);
                    }
                }
            },
            Event::End(e) => match e.local_name().as_ref() {
                "r" => (self.in_run, self.font) = (false, None),
                "t" => self.in_text = false,
                "rPh" => self.in_phonetic = false,
                _ => {}
            },
            _ if self.in_text => {
                if let Some((_, run)) = self.runs.last_mut() {
                    run.push_str(text);
                }
            }
            _ => {}
        }
    }

    /// The runs if a font of theirs says something.
    fn several(self) -> Option<Rc<[Run]>> {
        let says = |(font, _): &Run| font.is_some_and(|font| font != Font::default());
        // A run without a mark in a cell that has one is its own.
        let plain = |(font, _): &Run| font.is_some();
        (self.runs.iter().any(says) || self.runs.len() > 1 && self.runs.iter().any(plain)).then(|| self.runs.into())
    }
}

impl Font {
    /// Takes a property of a font.
    fn say(&mut self, name: &str, property: &BytesStart<'_>) {
        match name {
            "strike" => self.struck = is_on(property, "val", true),
            "vertAlign" => {
                self.script = match attribute(property, "val").as_deref() {
                    Some("superscript") => Script::Super,
                    Some("subscript") => Script::Sub,
                    _ => Script::Line,
                };
            }
            _ => {}
        }
    }
}

/// The fonts of the cells' styles.
fn styles(xml: &str) -> Result<Vec<Font>, Unreadable> {
    let (mut fonts, mut styles) = (Vec::new(), Vec::new());
    let mut within = String::new();
    each(xml, |event, _| match event {
        Event::Start(e) | Event::Empty(e) => match (within.as_str(), e.local_name().as_ref()) {
            ("", name @ ("fonts" | "cellXfs")) if matches!(event, Event::Start(_)) => within = name.to_owned(),
            ("fonts", "font") => fonts.push(Font::default()),
            ("fonts", name) => {
                if let Some(font) = fonts.last_mut() {
                    font.say(name, e);
                }
            }
            ("cellXfs", "xf") => {
                let font = attribute(e, "fontId").and_then(|font| font.parse::<usize>().ok());
                styles.push(font.and_then(|font| fonts.get(font)).copied().unwrap_or_default());
            }
            _ => {}
        },
        Event::End(e) if e.local_name().as_ref() == within => within.clear(),
        _ => {}
    })?;
    Ok(styles)
}

/// The shared strings that are written in several fonts.
fn strings(xml: &str) -> Result<HashMap<usize, Rc<[Run]>>, Unreadable> {
    let (mut found, mut index, mut runs) = (HashMap::new(), 0, Runs::default());
    each(xml, |event, text| match event {
        Event::Start(e) if e.local_name().as_ref() == "si" => runs = Runs::default(),
        Event::End(e) if e.local_name().as_ref() == "si" => {
            if let Some(several) = std::mem::take(&mut runs).several() {
                found.insert(index, several);
            }
            index += 1;
        }
        Event::Empty(e) if e.local_name().as_ref() == "si" => index += 1,
        _ => runs.take(event, text),
    })?;
    Ok(found)
}

/// The upper left cells of what lies on a sheet; what is tied to no cell lies on the first.
fn anchors(xml: &str) -> Result<Vec<At>, Unreadable> {
    let (mut found, mut in_from, mut digits, mut at) = (Vec::new(), false, None::<String>, (0, 0));
    each(xml, |event, text| match event {
        Event::Start(e) => match e.local_name().as_ref() {
            "twoCellAnchor" | "oneCellAnchor" | "absoluteAnchor" => at = (0, 0),
            "from" => in_from = true,
            "row" | "col" if in_from => digits = Some(String::new()),
            _ => {}
        },
        Event::End(e) => match e.local_name().as_ref() {
            "twoCellAnchor" | "oneCellAnchor" | "absoluteAnchor" => found.push(at),
            "from" => in_from = false,
            name @ ("row" | "col") => {
                if let Some(number) = digits.take().and_then(|digits| digits.trim().parse().ok()) {
                    if name == "row" { at.0 = number } else { at.1 = number }
                }
            }
            _ => {}
        },
        _ => {
            if let Some(digits) = &mut digits {
                digits.push_str(text);
            }
        }
    })?;
    Ok(found)
}

/// `B9` as row 8, column 1.
fn position(name: &str) -> Option<At> {
    let name = name.replace('$', "");
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let (letters, number) = name.split_at(digits);
    let column = letters.bytes().try_fold(0_u32, |column, letter| {
        let letter = letter
            .to_ascii_uppercase()
            .checked_sub(b'A')
            .filter(|letter| *letter < 26)?;
        column.checked_mul(26)?.checked_add(u32::from(letter) + 1)
    })?;
    let row = number.parse::<u32>().ok()?;
    Some((row.checked_sub(1)?, column.checked_sub(1)?))
}
