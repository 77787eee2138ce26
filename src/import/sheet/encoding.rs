//! The letters of a text file: UTF-8, or UTF-16 with its mark; Windows-1252 if that is said.

use serde::{Deserialize, Serialize};

use super::Unreadable;

/// The letters of a text file, where it leaves that open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Encoding {
    /// UTF-8, or UTF-16 with its mark; anything else is refused.
    #[default]
    Unsaid,
    /// Windows-1252, which Excel in Western Europe writes as plain "CSV".
    #[value(name = "windows-1252")]
    Windows1252,
}

/// The characters of the bytes from 0x80 to 0x9F; those that Windows-1252 leaves open are lost letters.
const WINDOWS: [char; 32] = [
    '\u{20AC}', '\u{FFFD}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{FFFD}', '\u{17D}', '\u{FFFD}', '\u{FFFD}', '\u{2018}',
    '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}',
    '\u{203A}', '\u{153}', '\u{FFFD}', '\u{17E}', '\u{178}',
];

fn windows(byte: u8) -> char {
    match byte {
        0x80..=0x9F => WINDOWS[usize::from(byte - 0x80)],
        byte => char::from(byte),
    }
}

/// The text of a file without its mark. Its lines end in LF: one kind of line end lets blank lines be counted, and cells need
/// no other.
pub(super) fn decoded(bytes: &[u8], encoding: Encoding) -> Result<String, Unreadable> {
    let text = match bytes {
        [0xFF, 0xFE, units @ ..] => utf16(units, u16::from_le_bytes)?,
        [0xFE, 0xFF, units @ ..] => utf16(units, u16::from_be_bytes)?,
        bytes if encoding == Encoding::Windows1252 => bytes.iter().copied().map(windows).collect(),
        bytes => str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?.to_owned(),
    };
    let text = text.trim_start_matches('\u{FEFF}');
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Unreadable> {
    let (units, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    let broken = |text: &str| Unreadable::BrokenUtf16 {
        line: 1 + text.matches('\n').count() as u32,
    };
    for decoded in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        text.push(decoded.map_err(|_| broken(&text))?);
    }
    if odd.is_empty() { Ok(text) } else { Err(broken(&text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<String, Unreadable> {
        super::decoded(bytes, Encoding::Unsaid)
    }

    #[test]
    fn windows_1252_is_read_by_its_name() {
        let read = |bytes| super::decoded(bytes, Encoding::Windows1252).unwrap();
        assert_eq!(
            read(b"Caf\xE9 \x96 \x93a\x94 \x80 \xB5\xB2"),
            "Caf\u{E9} \u{2013} \u{201C}a\u{201D} \u{20AC} \u{B5}\u{B2}"
        );
        assert_eq!(read(b"a\x81b"), "a\u{FFFD}b");
    }

    #[test]
    fn utf8_and_marked_utf16_are_read() {
        let little = |text: &str| {
            [
                vec![0xFF, 0xFE],
                text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            ]
            .concat()
        };
        let big = |text: &str| {
            [
                vec![0xFE, 0xFF],
                text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            ]
            .concat()
        };
        let text = "سوال\tA\r\n\u{1F438}";
        for bytes in [text.as_bytes().to_vec(), little(text), big(text)] {
            assert_eq!(decoded(&bytes).unwrap(), "سوال\tA\n\u{1F438}");
        }
        assert_eq!(decoded("\u{FEFF}a".as_bytes()).unwrap(), "a");
    }

    #[test]
    fn other_letters_are_refused_with_their_place() {
        assert_eq!(decoded(b"Caf\xE9,A"), Err(Unreadable::NotUtf8));
        assert_eq!(decoded(b"Q\0,\0"), Ok("Q\0,\0".to_owned()));
        assert_eq!(
            decoded(b"\xFF\xFEQ\0\n\0\x00\xD8"),
            Err(Unreadable::BrokenUtf16 { line: 2 })
        );
        assert_eq!(decoded(b"\xFF\xFEQ\0\n"), Err(Unreadable::BrokenUtf16 { line: 1 }));
    }
}
