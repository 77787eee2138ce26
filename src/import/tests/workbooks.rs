//! Workbooks of our own making.

use rust_xlsxwriter::{Format, FormatScript, Image, Workbook, Worksheet};

use super::*;

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1F, 0x15, 0xC4, 0x89, 0, 0, 0, 0x0D, b'I', b'D', b'A', b'T', 0x78, 0x9C, 0x62, 0, 1, 0, 0, 5, 0, 1,
    0x0D, 0x0A, 0x2D, 0xB4, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82,
];

fn bytes(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet
        .write_row(0, 0, ["Question", "A", "B", "Answer", "Chapter"])
        .unwrap();
    fill(sheet);
    workbook.save_to_buffer().unwrap()
}

fn xlsx(fill: impl FnOnce(&mut Worksheet)) -> Vec<String> {
    told("bank.xlsx", &bytes(fill), Settings::default())
}

#[test]
fn formatting_that_carries_meaning_is_kept_or_refused() {
    let (plain, up, down, struck) = (
        Format::new(),
        Format::new().set_font_script(FormatScript::Superscript),
        Format::new().set_font_script(FormatScript::Subscript),
        Format::new().set_font_strikethrough(),
    );
    let found = xlsx(|sheet| {
        sheet.write_row(1, 0, ["Q1", "", "b", "A"]).unwrap();
        sheet
            .write_rich_string(1, 1, &[(&plain, "x"), (&up, "n+1"), (&plain, " y"), (&down, "ij")])
            .unwrap();
        sheet.write_row(2, 0, ["Q2", "", "b", "A"]).unwrap();
        sheet.write_rich_string(2, 1, &[(&plain, "e"), (&up, "π")]).unwrap();
        sheet.write_row(3, 0, ["Q3", "", "b", "c", ""]).unwrap();
        sheet.write_with_format(3, 1, "a", &struck).unwrap();
        sheet.write_row(4, 0, ["Q4", "a", "", "B"]).unwrap();
        sheet.write_with_format(4, 2, 2, &up).unwrap();
        sheet.write_with_format(5, 0, "Q5", &struck).unwrap();
        sheet.write_row(6, 0, ["Q6", "a", "b", "B"]).unwrap();
    });
    assert_eq!(
        found,
        [
            "Q1: *xⁿ⁺¹ yᵢⱼ / b",
            "Q4: a / *²",
            "Q6: a / *b",
            "! B3 FORMATTING",
            "! B4 MISSING_CHOICE",
            "~ B4 STRUCK_OUT",
            "~ A6 STRUCK_OUT",
        ]
    );
}

#[test]
fn numbers_are_what_the_sheet_shows() {
    let found = xlsx(|sheet| {
        for (row, (format, number)) in [
            ("000", 7.0),
            ("# ?/?", 0.5),
            ("0\" cm\"", 5.0),
            ("0.0,", 1e6),
            ("[<1]0.0;0", 0.5),
        ]
        .into_iter()
        .enumerate()
        {
            let row = row as u32 + 1;
            sheet.write(row, 0, format!("Q{row}")).unwrap();
            sheet
                .write_with_format(row, 1, number, &Format::new().set_num_format(format))
                .unwrap();
            sheet.write(row, 2, "b").unwrap();
            sheet.write(row, 3, "A").unwrap();
        }
    });
    assert_eq!(
        found,
        [
            "Q1: *007 / b",
            "Q2: *1/2 / b",
            "Q3: *5 cm / b",
            "! B5 FORMATTING",
            "! B6 FORMATTING"
        ]
    );
}

#[test]
fn pictures_are_refused_by_their_cell() {
    let image = Image::new_from_buffer(PIXEL).unwrap();
    let found = xlsx(|sheet| {
        sheet.write_row(1, 0, ["Q1", "a", "b", "A"]).unwrap();
        sheet.write_row(2, 0, ["Q2", "a", "b", "A"]).unwrap();
        sheet.insert_image(1, 0, &image).unwrap();
        sheet.insert_image(4, 6, &image).unwrap();
    });
    assert_eq!(found, ["Q2: *a / b", "! A2 PICTURE", "! G5 PICTURE"]);

    // A letterhead above the headings is no question's.
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.insert_image(0, 1, &image).unwrap();
    sheet.write_row(2, 0, ["Question", "A", "B", "Answer"]).unwrap();
    sheet.write_row(3, 0, ["Q1", "a", "b", "A"]).unwrap();
    let bytes = workbook.save_to_buffer().unwrap();
    assert_eq!(
        told("bank.xlsx", &bytes, Settings::default()),
        ["Q1: *a / b", "~ A1 PASSED_OVER"]
    );
}

#[test]
fn hidden_rows_are_left_out_and_merged_cells_fill_their_range() {
    let fill = |sheet: &mut Worksheet| {
        for row in 1..=4 {
            sheet
                .write_row(row, 0, [format!("Q{row}").as_str(), "a", "b", "A"])
                .unwrap();
        }
        sheet.set_row_hidden(2).unwrap();
        sheet.merge_range(1, 4, 3, 4, "Cells", &Format::new()).unwrap();
        sheet.merge_range(5, 4, 9, 4, "Nobody", &Format::new()).unwrap();
    };
    assert_eq!(
        xlsx(fill),
        [
            "Q1: *a / b [Cells]",
            "Q3: *a / b [Cells]",
            "Q4: *a / b",
            "! A6 NO_QUESTION",
            "! B6 TOO_FEW_CHOICES",
            "! D6 NO_ANSWER",
            "~ A3 HIDDEN_ROW"
        ]
    );
    let shown = told("bank.xlsx", &bytes(fill), WITH_HIDDEN);
    assert_eq!(shown[1], "Q2: *a / b [Cells]");
    // A value of nothing else is a cell that says something.
    let title = xlsx(|sheet| {
        sheet.write_row(1, 0, ["Q1", "a", "", "B"]).unwrap();
        sheet.merge_range(1, 1, 1, 2, "both", &Format::new()).unwrap();
    });
    assert_eq!(title, ["! C2 DUPLICATE_CHOICE"]);
}

#[test]
fn a_broken_workbook_is_refused() {
    let whole = bytes(|sheet| {
        sheet.write_row(1, 0, ["Q1", "a", "b", "A"]).unwrap();
    });
    for end in [whole.len() / 2, whole.len() - 10] {
        let refused = told("bank.xlsx", &whole[..end], Settings::default()).remove(0);
        assert!(refused.contains("damaged"), "{refused}");
    }
}

#[test]
fn a_workbook_with_macros_is_refused_whatever_its_name() {
    let whole = bytes(|sheet| {
        sheet.write_row(1, 0, ["Q1", "a", "b", "A"]).unwrap();
    });
    let mut zip = zip::ZipWriter::new_append(std::io::Cursor::new(whole)).unwrap();
    zip.start_file("xl/vbaProject.bin", zip::write::SimpleFileOptions::default())
        .unwrap();
    std::io::Write::write_all(&mut zip, b"a program").unwrap();
    let with_macros = zip.finish().unwrap().into_inner();
    for name in ["bank.xlsx", "bank.xlsm"] {
        let refused = told(name, &with_macros, Settings::default()).remove(0);
        assert!(refused.contains("macros"), "{refused}");
    }
}
