//! XLSX workbooks, read cell by cell and never unpacked further than an honest one needs.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::panic::catch_unwind;

use calamine::{DataRef, Reader, SheetType, Style, Xlsx, XlsxError};
use zip::ZipArchive;

use super::{Cell, Grid, MAX_SHEETS, Row, Unreadable, choose};

/// Maximum unpacked size of all parts of a workbook, in bytes.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;
/// The most cells read from one workbook; formatted empty ones count, for they cost time as well.
const MAX_CELLS: usize = 2_000_000;
/// Maximum size of the text of one workbook, in bytes. Cells share strings, so a small file can repeat a long text a
/// million times.
const MAX_TEXT: usize = 64 * 1024 * 1024;

type Workbook<'a> = Xlsx<Metered<'a>>;
/// Filled cells by (row, column), both from 0.
type Cells = BTreeMap<(u32, u32), Cell>;

pub(super) fn grids(bytes: &[u8], only: Option<&str>) -> Result<Vec<Grid>, Unreadable> {
    refuse_bombs(bytes)?;
    // calamine 0.38 trusts some numbers of the file: a shared formula over "B2:A1" underflows in a
    // debug build, an absurd count of strings overflows a capacity. That is the file's fault, so
    // it gets the file's answer.
    catch_unwind(|| read_workbook(bytes, only))
        .unwrap_or_else(|_| Err(Unreadable::Damaged("numbers that cannot be".to_owned())))
}

fn read_workbook(bytes: &[u8], only: Option<&str>) -> Result<Vec<Grid>, Unreadable> {
    let mut workbook = Workbook::new(Metered::new(bytes)).map_err(refusal)?;
    let worksheets: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    if worksheets.is_empty() {
        return Err(Unreadable::NotASpreadsheet);
    }
    if worksheets.len() > MAX_SHEETS {
        return Err(Unreadable::TooManySheets);
    }
    let mut allowance = Allowance::default();
    choose(worksheets, only)?
        .iter()
        .map(|name| Grid::new(name, rows(cells(&mut workbook, name, &mut allowance)?)))
        .collect()
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

fn rows(cells: Cells) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for ((row, column), cell) in cells {
        let number = row.saturating_add(1);
        match rows.last_mut() {
            Some(last) if last.number == number => last.cells.push((column, cell)),
            _ => rows.push(Row {
                number,
                cells: vec![(column, cell)],
            }),
        }
    }
    rows
}

fn typed(value: &DataRef<'_>, style: Option<&Style>) -> Cell {
    match value {
        DataRef::Empty => Cell::Blank,
        DataRef::String(text) => Cell::text(text),
        DataRef::SharedString(text) => Cell::text(text),
        DataRef::Int(whole) => Cell::text(&whole.to_string()),
        DataRef::Float(number) => {
            let format = style.and_then(|style| style.number_format.as_ref());
            Cell::text(&shown(*number, format.map_or("", |f| &f.format_code)))
        }
        DataRef::Bool(true) => Cell::text("TRUE"),
        DataRef::Bool(false) => Cell::text("FALSE"),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => Cell::Date,
        DataRef::Error(_) => Cell::Error,
    }
}

/// A number as the spreadsheet shows it. A typed "25%" is stored as 0.25 and only its format knows
/// better, so formats of fixed decimals and per cent are followed; all others read as General.
fn shown(number: f64, format: &str) -> String {
    let positive = format.split(';').next().unwrap_or_default();
    let (digits, factor, sign) = match positive.strip_suffix('%') {
        Some(digits) => (digits, 100.0, "%"),
        None => (positive, 1.0, ""),
    };
    match fixed_decimals(digits) {
        Some(decimals) if number.abs() < 1e9 => {
            // Spreadsheets round halves away from zero; `format!` alone rounds them to even.
            let scale = 10_f64.powi(decimals as i32);
            let rounded = (number * factor * scale).round() / scale;
            format!("{rounded:.decimals$}{sign}")
        }
        _ => general(number),
    }
}

/// 0 for "0", 2 for "0.00"; `None` for any other format, and for more decimals than a number has.
fn fixed_decimals(format: &str) -> Option<usize> {
    let decimals = match format.strip_prefix('0')? {
        "" => 0,
        rest => rest.strip_prefix('.').filter(|rest| !rest.is_empty())?.len(),
    };
    let only_zeros = format.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    (only_zeros && format.matches('.').count() <= 1 && decimals <= 9).then_some(decimals)
}

/// 3 and not 3.0, and 0.3 for 0.1 + 0.2: a spreadsheet shows fifteen digits at most.
fn general(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    if rounded == 0.0 {
        return "0".to_owned();
    }
    if (1e-9..1e21).contains(&rounded.abs()) {
        return rounded.to_string();
    }
    let scientific = format!("{rounded:E}");
    match scientific.split_once('E') {
        Some((digits, power)) if !power.starts_with('-') => format!("{digits}E+{power}"),
        _ => scientific,
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
