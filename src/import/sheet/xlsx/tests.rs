use rust_xlsxwriter::{Format, Formula, Workbook as Writer};

use super::*;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn read(bytes: &[u8]) -> Result<Vec<Grid>, Unreadable> {
    grids(bytes, None, false)
}

/// A workbook of one sheet from its cells' XML, stored without compression, so that it may
/// hold what no honest program writes.
fn raw_workbook(sheet_data: &str) -> Vec<u8> {
    raw_archive(
        r#"<workbook><sheets><sheet name="Sheet1" r:id="r1"/></sheets></workbook>"#,
        &format!("<worksheet><sheetData>{sheet_data}</sheetData></worksheet>"),
    )
}

fn raw_archive(workbook: &str, sheet: &str) -> Vec<u8> {
    let relation = |kind: &str, target: &str| {
        format!(
            r#"<Relationships><Relationship Id="r1" Type="x/relationships/{kind}" Target="{target}"/></Relationships>"#
        )
    };
    stored_zip(&[
        ("_rels/.rels", &relation("officeDocument", "xl/workbook.xml")),
        ("xl/workbook.xml", workbook),
        ("xl/_rels/workbook.xml.rels", &relation("worksheet", "sheet1.xml")),
        ("xl/sheet1.xml", sheet),
    ])
}

fn stored_zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let start = (zip.len() as u32).to_le_bytes();
        let size = (content.len() as u32).to_le_bytes();
        let mut head = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head.extend(crc32(content.as_bytes()).to_le_bytes());
        head.extend([size, size].concat());
        head.extend([name.len() as u8, 0, 0, 0]);
        zip.extend(b"PK\x03\x04");
        zip.extend(&head);
        zip.extend([name.as_bytes(), content.as_bytes()].concat());
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend([&start, name.as_bytes()].concat());
    }
    let count = entries.len() as u8;
    let (start, size) = (zip.len() as u32, directory.len() as u32);
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([count, 0, count, 0]);
    zip.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    zip.extend([0, 0]);
    zip
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

#[test]
fn cells_keep_their_kind() {
    let mut writer = Writer::new();
    let sheet = writer.add_worksheet();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let time = Format::new().set_num_format("[h]:mm");
    let percent = Format::new().set_num_format("0%");
    sheet.write(1, 0, " two\r\nlines ").unwrap();
    sheet.write(1, 1, 3).unwrap();
    sheet.write(1, 2, 0.5).unwrap();
    sheet.write(1, 3, true).unwrap();
    sheet.write_with_format(1, 4, 41_000, &date).unwrap();
    sheet.write_with_format(1, 5, 1.5, &time).unwrap();
    sheet.write_with_format(1, 6, 0.25, &percent).unwrap();
    let formula = Formula::new("=6*200/100").set_result("12");
    sheet.write_formula(1, 7, formula).unwrap();
    sheet.write(1, 8, "=typed as text").unwrap();
    sheet.write(1, 9, " \u{A0}").unwrap();
    sheet.write_blank(1, 10, &percent).unwrap();
    sheet.write(4, 27, "far").unwrap();
    let grids = read(&writer.save_to_buffer().unwrap()).unwrap();

    let rows = &grids[0].rows;
    let cells: Vec<&Cell> = (0..11).map(|column| rows[0].cell(column)).collect();
    assert_eq!(
        cells,
        [
            &text("two\nlines"),
            &text("3"),
            &text("0.5"),
            &text("TRUE"),
            &Cell::Date,
            &Cell::Date,
            &text("25%"),
            &Cell::Formula,
            &text("=typed as text"),
            &Cell::Blank,
            &Cell::Blank,
        ]
    );
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].address(27), "AB5");
    assert_eq!(*rows[1].cell(27), text("far"));
}

#[test]
fn errors_and_every_kind_of_formula_are_seen() {
    let cells = r#"<row r="1">
        <c r="A1" t="e"><v>#REF!</v></c>
        <c r="B1"><f t="shared" ref="B1:C1" si="0">A1*2</f><v>4</v></c>
        <c r="C1"><f t="shared" si="0"/><v>8</v></c>
        <c r="D1"><f t="array" ref="D1">SUM(A1)</f></c>
        <c r="E1"><f/><v>5</v></c>
        <c r="F1" t="d"><v>2024-01-04</v></c>
        <c r="G1" t="str"><f>"a"</f><v>a</v></c>
    </row>"#;
    let grids = read(&raw_workbook(cells)).unwrap();
    let row = &grids[0].rows[0];
    assert_eq!(*row.cell(0), Cell::Error);
    for column in [1, 2, 3, 4, 6] {
        assert_eq!(*row.cell(column), Cell::Formula, "{column}");
    }
    assert_eq!(*row.cell(5), Cell::Date);
}

#[test]
fn sheets_are_read_by_name_and_counted() {
    let mut writer = Writer::new();
    for name in ["Biology", "Physics"] {
        let sheet = writer.add_worksheet().set_name(name).unwrap();
        sheet.write(0, 0, name).unwrap();
    }
    let bytes = writer.save_to_buffer().unwrap();
    let names = |only| {
        let grids = grids(&bytes, only, false)?;
        Ok(grids.iter().map(|grid| grid.name.clone()).collect())
    };
    assert_eq!(names(None), Ok(vec!["Biology".to_owned(), "Physics".to_owned()]));
    assert_eq!(names(Some("Physics")), Ok(vec!["Physics".to_owned()]));
    assert_eq!(
        names(Some("physics")),
        Err(Unreadable::NoSuchSheet {
            requested: "physics".to_owned(),
            there: vec!["Biology".to_owned(), "Physics".to_owned()],
        })
    );

    let with_sheets = |count| {
        let mut writer = Writer::new();
        for _ in 0..count {
            writer.add_worksheet();
        }
        writer.save_to_buffer().unwrap()
    };
    assert_eq!(read(&with_sheets(MAX_SHEETS)).unwrap().len(), MAX_SHEETS);
    let refused = read(&with_sheets(MAX_SHEETS + 1)).unwrap_err();
    assert_eq!(refused, Unreadable::TooManySheets);
}

#[test]
fn one_part_cannot_be_read_as_many_sheets() {
    let one = raw_workbook(&format!("<!--{}-->", "x".repeat(100_000)));
    assert!(read(&one).is_ok());
    let sheet = r#"<sheet name="Sheet1" r:id="r1"/>"#;
    let again = format!("<workbook><sheets>{}</sheets></workbook>", sheet.repeat(10));
    let part = format!(
        "<worksheet><sheetData><!--{}--></sheetData></worksheet>",
        "x".repeat(100_000)
    );
    let many = raw_archive(&again, &part);
    assert!(matches!(read(&many), Err(Unreadable::Damaged(_))));
}

#[test]
fn other_archives_are_no_spreadsheets() {
    let archive = stored_zip(&[("letter.txt", "Dear Ada")]);
    assert_eq!(read(&archive).unwrap_err(), Unreadable::NotASpreadsheet);
}

/// The offset of the sheet's declared unpacked size in its directory record.
fn declared_at(bytes: &[u8]) -> usize {
    let mut records = bytes.windows(4).enumerate();
    let (last, _) = records.rfind(|(_, w)| w == b"PK\x01\x02").unwrap();
    last + 24
}

#[test]
fn a_bomb_is_refused_by_what_it_declares_and_a_lie_is_found_out() {
    let mut bytes = raw_workbook(r#"<row r="1"><c r="A1"><v>1</v></c></row>"#);
    assert!(read(&bytes).is_ok());
    let at = declared_at(&bytes);

    bytes[at..at + 4].copy_from_slice(&(MAX_UNPACKED as u32).to_le_bytes());
    assert_eq!(read(&bytes).unwrap_err(), Unreadable::UnpacksTooLarge);
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&bytes).unwrap_err(), Unreadable::UnpacksTooLarge);
    bytes[at..at + 4].copy_from_slice(&20_u32.to_le_bytes());
    assert!(matches!(read(&bytes), Err(Unreadable::Damaged(_))));
}

#[test]
fn a_claim_of_strings_beyond_all_memory_is_refused() {
    let with_strings = |sst: &str| stored_zip(&[("xl/SharedStrings.xml", sst)]);
    for count in ["100000000000000", "18446744073709551615", "99999999999999999999999"] {
        let bytes = with_strings(&format!("<!-- --> <sst count=\"1\" uniqueCount = '{count}'/>"));
        assert_eq!(read(&bytes).unwrap_err(), Unreadable::UnpacksTooLarge);
    }
    let honest = with_strings("<sst uniqueCount=\"1\"><si><t>uniqueCount 9</t></si></sst>");
    assert_eq!(refuse_bombs(&honest), Ok(()));
}

#[test]
fn shared_text_cannot_be_asked_for_without_end() {
    let long = Cell::Text("x".repeat(1024 * 1024));
    let mut allowance = Allowance::default();
    for _ in 0..64 {
        allowance.spend(&long).unwrap();
    }
    assert_eq!(allowance.spend(&long), Err(Unreadable::UnpacksTooLarge));
    let mut allowance = Allowance { cells: 1, text: 0 };
    allowance.spend(&Cell::Blank).unwrap();
    assert_eq!(allowance.spend(&Cell::Blank), Err(Unreadable::UnpacksTooLarge));
}

#[test]
fn cells_far_apart_cost_nothing() {
    let far = r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>"#;
    let grids = read(&raw_workbook(far)).unwrap();
    assert_eq!(grids[0].rows[1].address(16_383), "XFD1048576");
}

#[test]
fn numbers_that_cannot_be_are_the_files_fault() {
    for cells in [
        r#"<row r="1"><c r="A1"><f t="shared" ref="B2:A1" si="0">1</f></c></row>"#,
        r#"<row r="1"><c r="A1"><f t="shared" ref="A1" si="18446744073709551615">1</f></c></row>"#,
        r#"<row r="99999999999"><c><v>1</v></c></row>"#,
        r#"<row r="1"><c r="ZZZZZZZZZZ1"><v>1</v></c></row>"#,
        r#"<row r="1"><c r="A1" t="s"><v>7</v></c></row>"#,
        r#"<row r="1"><c r="A1" t="n"><v>seven</v></c></row>"#,
        r#"<row r="1"><c r="A1"><v>1"#,
    ] {
        // Some are harmless in a release build; none may take the server down.
        if let Err(refused) = read(&raw_workbook(cells)) {
            assert!(matches!(refused, Unreadable::Damaged(_)), "{refused:?}");
        }
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let whole = raw_workbook(r#"<row r="1"><c r="A1" t="inlineStr"><is><t>Question</t></is></c></row>"#);
    for end in 0..whole.len() {
        let _ = read(&whole[..end]);
    }
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            let _ = read(&damaged);
        }
    }
}
