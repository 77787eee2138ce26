//! Values that must not be shown.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reader's own message may quote the value.
        let value = T::deserialize(deserializer).map_err(|_| D::Error::custom("not a text; write it in quotes"))?;
        Ok(Self(value))
    }
}

/// A message without the user and password of a URL in it, however they are written: whatever stands between `://` and the last
/// `@`, and behind `password=`. For messages that repeat what was configured, perhaps under the wrong key.
pub(crate) fn redacted(message: &str) -> String {
    const MARK: &str = "[secret]";
    let mut text = message.to_owned();
    if let (Some(scheme), Some(host)) = (text.find("://"), text.rfind('@')) {
        let user = scheme + "://".len();
        if user <= host {
            text.replace_range(user..host, MARK);
        }
    }
    let mut from = 0;
    while let Some(at) = text[from..].to_ascii_lowercase().find("password=") {
        let start = from + at + "password=".len();
        let end = text[start..].find(|c: char| c == '&' || c == '"' || c.is_whitespace());
        text.replace_range(start..end.map_or(text.len(), |end| start + end), MARK);
        from = start;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_a_url_shows_its_password() {
        for (message, expected) in [
            (
                "\"postgres://ada:hu/sh@db/x\": no address",
                "\"postgres://[secret]@db/x\": no address",
            ),
            ("redis://:hu#sh@db is not it", "redis://[secret]@db is not it"),
            ("smtp://ada:hu?s@h@db", "smtp://[secret]@db"),
            ("x://ada:hu sh\"@db", "x://[secret]@db"),
            (
                "postgres://db/x?PASSWORD=hu%26sh&sslmode=require",
                "postgres://db/x?PASSWORD=[secret]&sslmode=require",
            ),
            (
                "x?sslpassword=hush and password=hush",
                "x?sslpassword=[secret] and password=[secret]",
            ),
            (
                "must begin with postgres:// or postgresql://",
                "must begin with postgres:// or postgresql://",
            ),
            (
                "ada@example.com, https://exam.example",
                "ada@example.com, https://exam.example",
            ),
        ] {
            assert_eq!(redacted(message), expected);
        }
    }
}
