//! XLSX workbooks, read cell by cell and never unpacked further than an honest one needs.

use std::collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::panic::catch_unwind;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Style, Xlsx, XlsxError};
use zip::ZipArchive;

use super::{Cell, Flaw, Grid, Kind, MAX_SHEETS, Remark, Row, Unreadable, choose};

mod marks;
mod number;
mod parts;
pub(super) mod script;

use marks::{At, Book, Marks};
use parts::Parts;

/// Maximum unpacked size of all parts of a workbook, in bytes.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;
/// The most cells read from one workbook; formatted empty ones count, for they cost time as well.
const MAX_CELLS: usize = 2_000_000;
/// Maximum size of the text of one workbook, in bytes. Cells share strings, so a small file can repeat a long text a
/// million times.
const MAX_TEXT: usize = 64 * 1024 * 1024;

type Workbook<'a> = Xlsx<Metered<'a>>;
/// Filled cells.
type Cells = BTreeMap<At, Cell>;
/// What is to be said of cells.
type Flaws = BTreeMap<At, Flaw>;

pub(super) fn grids(bytes: &[u8], only: Option<&str>, hidden: bool) -> Result<Vec<Grid>, Unreadable> {
    refuse_bombs(bytes)?;
    // calamine 0.38 trusts some numbers of the file: a shared formula over "B2:A1" underflows in a
    // debug build, an absurd count of strings overflows a capacity. That is the file's fault, so
    // it gets the file's answer.
    catch_unwind(|| read_workbook(bytes, only, hidden))
        .unwrap_or_else(|_| Err(Unreadable::Damaged("numbers that cannot be".to_owned())))
}

fn read_workbook(bytes: &[u8], only: Option<&str>, hidden: bool) -> Result<Vec<Grid>, Unreadable> {
    let mut workbook = Workbook::new(Metered::new(bytes)).map_err(refusal)?;
    let (mut worksheets, mut left_out) = (Vec::new(), Vec::new());
    for sheet in workbook.sheets_metadata() {
        if sheet.typ == SheetType::WorkSheet {
            worksheets.push(sheet.name.clone());
            if sheet.visible != SheetVisible::Visible {
                left_out.push(sheet.name.clone());
            }
        }
    }
    if worksheets.is_empty() {
        return Err(Unreadable::NotASpreadsheet);
    }
    if worksheets.len() > MAX_SHEETS {
        return Err(Unreadable::TooManySheets);
    }
    if hidden || only.is_some() {
        left_out.clear();
    }
    let mut parts = Parts::of(bytes)?;
    if parts.has_macros() {
        return Err(Unreadable::Macros);
    }
    let mut book = Book::of(&mut parts)?;
    let mut allowance = Allowance::default();
    let mut grids = Vec::new();
    for name in choose(worksheets, only)? {
        if left_out.contains(&name) {
            grids.push(Grid::new(&name, Vec::new(), vec![Remark::HiddenSheet])?);
            continue;
        }
        let cells = cells(&mut workbook, &name, &mut allowance)?;
        let marks = book.marks(&mut parts, &name)?;
        let (rows, remarks) = marked(cells, marks, hidden, &mut allowance)?;
        grids.push(Grid::new(&name, rows, remarks)?);
    }
    Ok(grids)
}

/// The rows of a sheet with what is said of its cells.
fn marked(
    mut cells: Cells,
    marks: Marks,
    hidden: bool,
    allowance: &mut Allowance,
) -> Result<(Vec<Row>, Vec<Remark>), Unreadable> {
    let mut flaws = Flaws::new();
    write_out(&mut cells, &marks, &mut flaws);
    fill_merged(&mut cells, &marks.merged, allowance)?;
    for at in &marks.pictures {
        flaws.insert(*at, Flaw::Picture);
    }
    let mut rows = rows(cells, flaws);
    let mut left_out = Vec::new();
    if !hidden {
        let is_hidden: HashSet<u32> = marks.hidden.iter().map(|row| row.saturating_add(1)).collect();
        rows.retain(|row| {
            let is_hidden = is_hidden.contains(&row.number);
            if is_hidden {
                left_out.push(row.number);
            }
            !is_hidden
        });
    }
    let remark = (!left_out.is_empty()).then_some(Remark::HiddenRows(left_out));
    Ok((rows, remark.into_iter().collect()))
}

/// Writes super- and subscripts as characters, and leaves struck-out text out.
fn write_out(cells: &mut Cells, marks: &Marks, flaws: &mut Flaws) {
    let marked: BTreeSet<At> = marks.runs.keys().chain(marks.fonts.keys()).copied().collect();
    for at in marked {
        let Some(cell) = cells.get_mut(&at) else { continue };
        let Cell::Text(text) = &*cell else { continue };
        let own = marks.fonts.get(&at).copied().unwrap_or_default();
        let whole = [(None, text.clone())];
        let runs = marks.runs.get(&at).map_or(whole.as_slice(), |runs| runs);
        let mut written = Some(String::new());
        for (font, text) in runs {
            let font = font.unwrap_or(own);
            if font.struck {
                if !text.trim().is_empty() {
                    flaws.insert(at, Flaw::Struck);
                }
                continue;
            }
            written = written
                .zip(font.script.written(text))
                .map(|(before, text)| before + &text);
        }
        *cell = written.map_or(Cell::Formatted, |text| Cell::text(&text.replace("_x000D_", "")));
    }
    cells.retain(|_, cell| *cell != Cell::Blank);
}

/// Gives the cells of a merged range that are in rows with other cells the value of its first.
fn fill_merged(cells: &mut Cells, merged: &[(At, At)], allowance: &mut Allowance) -> Result<(), Unreadable> {
    let rows: BTreeSet<u32> = cells.keys().map(|(row, _)| *row).collect();
    let last = cells.keys().map(|(_, column)| *column).max().unwrap_or(0);
    for (first, end) in merged {
        let Some(cell) = cells.get(first).cloned() else {
            continue;
        };
        if first.0 > end.0 {
            continue;
        }
        for row in rows.range(first.0..=end.0) {
            // Ranges may overlap, and cost time wherever they do.
            allowance.spend(&Cell::Blank)?;
            for column in first.1..=end.1.min(last) {
                match cells.entry((*row, column)) {
                    Entry::Vacant(blank) => {
                        allowance.spend(&cell)?;
                        blank.insert(cell.clone());
                    }
                    Entry::Occupied(_) => allowance.spend(&Cell::Blank)?,
                }
            }
        }
    }
    Ok(())
}

fn cells(workbook: &mut Workbook<'_>, sheet: &str, allowance: &mut Allowance) -> Result<Cells, Unreadable> {
    let mut cells = values(workbook, sheet, allowance)?;
    // A formula displaces its stored result, which is whatever the last program left there.
    for position in formulas(workbook, sheet)? {
        cells.insert(position, Cell::Formula);
    }
    Ok(cells)
}

fn values(workbook: &mut Workbook<'_>, sheet: &str, allowance: &mut Allowance) -> Result<Cells, Unreadable> {
    let mut reader = workbook.worksheet_cells_reader(sheet).map_err(refusal)?;
    let mut cells = Cells::new();
    while let Some((value, style)) = reader.next_cell_with_style_id().map_err(refusal)? {
        let cell = typed(value.get_value(), reader.styles().get(style));
        allowance.spend(&cell)?;
        if cell != Cell::Blank {
            cells.insert(value.get_position(), cell);
        }
    }
    Ok(cells)
}

/// The positions of formulas. Read separately, because calamine returns a number's format or a cell's formula but not
/// both.
fn formulas(workbook: &mut Workbook<'_>, sheet: &str) -> Result<Vec<(u32, u32)>, Unreadable> {
    let mut reader = workbook.worksheet_cells_reader(sheet).map_err(refusal)?;
    let mut positions = Vec::new();
    while let Some(cell) = reader.next_cell_with_formula_metadata().map_err(refusal)? {
        if cell.formula.is_some() {
            positions.push(cell.pos);
        }
    }
    Ok(positions)
}

/// Cells as rows; a row may have nothing but a flaw.
fn rows(cells: Cells, flaws: Flaws) -> Vec<Row> {
    let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
    let empty = |row: u32| Row {
        number: row.saturating_add(1),
        cells: Vec::new(),
        flaws: Vec::new(),
        kind: Kind::Sheet,
    };
    for ((row, column), cell) in cells {
        rows.entry(row).or_insert_with(|| empty(row)).cells.push((column, cell));
    }
    for ((row, column), flaw) in flaws {
        rows.entry(row).or_insert_with(|| empty(row)).flaws.push((column, flaw));
    }
    rows.into_values().collect()
}

fn typed(value: &DataRef<'_>, style: Option<&Style>) -> Cell {
    match value {
        DataRef::Empty => Cell::Blank,
        DataRef::String(text) => Cell::text(text),
        DataRef::SharedString(text) => Cell::text(text),
        DataRef::Int(whole) => Cell::text(&whole.to_string()),
        DataRef::Float(number) => {
            let format = style.and_then(|style| style.number_format.as_ref());
            let shown = number::shown(*number, format.map_or("", |f| &f.format_code));
            shown.map_or(Cell::Formatted, |shown| Cell::text(&shown))
        }
        DataRef::Bool(true) => Cell::text("TRUE"),
        DataRef::Bool(false) => Cell::text("FALSE"),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => Cell::Date,
        DataRef::Error(_) => Cell::Error,
    }
}

/// The packed file, which can be read a few times only. Each part is read twice at most; a workbook whose sheets are
/// all the same part would unpack it for each.
struct Metered<'a> {
    file: Cursor<&'a [u8]>,
    left: usize,
}

impl<'a> Metered<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        // Beside the parts, the directory at the file's end is looked for and read.
        const DIRECTORY: usize = 128 * 1024;
        Metered {
            file: Cursor::new(bytes),
            left: 3 * bytes.len() + DIRECTORY,
        }
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| io::Error::other("its parts refer to each other too often"))?;
        Ok(count)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The remaining time and memory of a workbook.
struct Allowance {
    cells: usize,
    text: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            cells: MAX_CELLS,
            text: MAX_TEXT,
        }
    }
}

impl Allowance {
    fn spend(&mut self, cell: &Cell) -> Result<(), Unreadable> {
        let text = match cell {
            Cell::Text(text) => text.len(),
            _ => 0,
        };
        match (self.cells.checked_sub(1), self.text.checked_sub(text)) {
            (Some(cells), Some(text)) => *self = Allowance { cells, text },
            _ => return Err(Unreadable::UnpacksTooLarge),
        }
        Ok(())
    }
}

/// Refuses a workbook that declares, in its zip directory or for its shared strings, more than an
/// honest one needs.
///
/// The zip reader stops where an entry outgrows its declared size, so the sum bounds what unpacking
/// can cost. Shared strings need a look inside: calamine 0.38 sets memory aside for as many as the
/// part claims, and a claim beyond all memory ends the process.
fn refuse_bombs(bytes: &[u8]) -> Result<(), Unreadable> {
    let damaged = |error: &dyn std::error::Error| Unreadable::Damaged(error.to_string());
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))?;
    let mut unpacked = 0_u64;
    for index in 0..zip.len() {
        let mut part = zip.by_index(index).map_err(|e| damaged(&e))?;
        unpacked = unpacked.saturating_add(part.size());
        if unpacked > MAX_UNPACKED {
            return Err(Unreadable::UnpacksTooLarge);
        }
        // Whatever the folder: calamine finds the part in any case and with either slash.
        let name = part.name().map_err(|e| damaged(&e))?.to_ascii_lowercase();
        if !name.ends_with("sharedstrings.xml") {
            continue;
        }
        let mut xml = Vec::new();
        part.read_to_end(&mut xml).map_err(|e| damaged(&e))?;
        // NUL and ESC belong to encodings in which the claim could not be found (UTF-16, ISO 2022).
        let is_plain = !xml.iter().any(|byte| matches!(byte, 0 | 0x1B));
        if !is_plain || claimed_strings(&xml) > xml.len() as u64 {
            return Err(Unreadable::UnpacksTooLarge);
        }
    }
    Ok(())
}

/// The largest count of strings that shared strings claim to hold. Text that happens to look like
/// the claim counts as well: it does no harm, for each true string takes several bytes.
fn claimed_strings(xml: &[u8]) -> u64 {
    const CLAIM: &[u8] = b"uniqueCount";
    let after_claims = xml
        .windows(CLAIM.len())
        .enumerate()
        .filter(|(_, part)| *part == CLAIM)
        .map(|(at, _)| &xml[at + CLAIM.len()..]);
    after_claims.map(first_number).max().unwrap_or(0)
}

/// The number that an attribute's value starts with, between its quotation marks.
fn first_number(after_name: &[u8]) -> u64 {
    after_name
        .iter()
        .skip_while(|byte| byte.is_ascii_whitespace() || b"=\"'+".contains(byte))
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number: u64, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        })
}

fn refusal(error: XlsxError) -> Unreadable {
    match error {
        XlsxError::Password => Unreadable::Encrypted,
        XlsxError::FileNotFound(_) | XlsxError::RelationshipNotFound => Unreadable::NotASpreadsheet,
        other => Unreadable::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
