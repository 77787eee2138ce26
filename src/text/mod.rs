//! The rules for text that people give, each in one place. Whatever is kept passes through here first.

mod markdown;
pub mod url;

pub use self::markdown::safe_markdown;

use crate::error::{Error, Result};

/// Control characters, and the marks that turn the reading direction of all that follows. The plain direction marks
/// that Urdu and Arabic need are not among them.
pub fn is_unsafe(c: char) -> bool {
    let allowed_control = matches!(c, '\n' | '\t');
    (c.is_control() && !allowed_control) || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// An e-mail address as it is stored, in lower case. Whether it is real only a message to it can tell.
pub fn email(argument: &str, text: &str) -> Result<String> {
    let text = text.trim().to_lowercase();
    let valid = text.len() <= 254
        && !text.contains(|c: char| c.is_whitespace() || is_unsafe(c) || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && name.len() <= 64
                && !host.contains('@')
                && host.split('.').all(|label| !label.is_empty())
        });
    if valid {
        Ok(text)
    } else {
        let message = "This is not an e-mail address. Expected e.g. ada@example.com.";
        Err(Error::input(argument, message))
    }
}

/// A handle: 3 to 24 letters of ASCII, digits and underscores. No two can be mistaken for each other.
pub fn handle(argument: &str, text: &str) -> Result<String> {
    let valid = (3..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid {
        Ok(text.to_owned())
    } else {
        let message = "A handle has 3 to 24 letters (a to z), digits or underscores.";
        Err(Error::input(argument, message))
    }
}

/// A password: long enough to resist guessing, short enough that hashing it is no attack.
pub fn password(argument: &str, text: String) -> Result<String> {
    if (10..=200).contains(&text.chars().count()) {
        Ok(text)
    } else {
        Err(Error::input(argument, "A password has 10 to 200 characters."))
    }
}

/// The address of a picture: https, so that a page that shows it stays secure.
pub fn picture(argument: &str, text: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | '\\' | '`' | '@');
    let host = text
        .strip_prefix("https://")
        .map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let valid = text.len() <= 500 && text.chars().all(plain) && host.is_some_and(|host| host.contains('.'));
    if valid {
        Ok(text.to_owned())
    } else {
        let message = "Expected the address of a picture, at most 500 characters: https://…";
        Err(Error::input(argument, message))
    }
}

/// Why something was done to somebody, for those who ask later.
pub fn reason(argument: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if (3..=500).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(Error::input(argument, "Say why in 3 to 500 characters."))
    }
}

/// A name on one line, as files, quizzes and subjects have: 1 to `most` characters.
pub fn name(argument: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if !(1..=most).contains(&text.chars().count()) {
        return Err(Error::input(argument, format!("Give 1 to {most} characters.")));
    }
    if text.contains(|c| is_unsafe(c) || c == '\n' || c == '\t') {
        let message = "This holds a control character or a mark that turns the reading direction; type it again.";
        return Err(Error::input(argument, message));
    }
    Ok(text.to_owned())
}

/// Words to look for.
pub fn search(argument: &str, text: String) -> Result<String> {
    if text.chars().count() <= 100 {
        Ok(text)
    } else {
        Err(Error::input(argument, "Look for at most 100 characters."))
    }
}

/// What a client makes once for what it wants to happen once.
pub fn idempotency_key<'a>(argument: &str, text: &'a str) -> Result<&'a str> {
    if (8..=100).contains(&text.chars().count()) {
        Ok(text)
    } else {
        let message = "An idempotency key has 8 to 100 characters. Make a new UUID for each attempt.";
        Err(Error::input(argument, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_lower_case_and_nonsense_is_refused() {
        assert!(email("email", " Ada@Example.COM ").is_ok_and(|email| email == "ada@example.com"));
        for nonsense in [
            "",
            "ada",
            "@x",
            "a@",
            "a@b@c",
            "a b@c.d",
            "a@b..c",
            "<a@b.c>",
            "a\u{202E}@b.c",
            "a@b.c\0",
        ] {
            assert!(email("email", nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn a_picture_is_fetched_over_tls_from_a_host() {
        assert!(picture("avatar", "https://pictures.example/ada.png?size=64").is_ok());
        for nonsense in [
            "http://pictures.example/a.png",
            "javascript:alert(1)",
            "https://",
            "https://localhost",
            "https://x.example/\"onload=",
            "https://user@x.example/",
            "https://x.example/\u{202E}gnp.png",
        ] {
            assert!(picture("avatar", nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn handles_hold_nothing_that_looks_like_something_else() {
        assert!(handle("handle", "Ada_1815").is_ok());
        for nonsense in ["ab", "a".repeat(25).as_str(), "аda", "a da", "a.b.c", "ada\u{200B}"] {
            assert!(handle("handle", nonsense).is_err(), "{nonsense:?}");
        }
    }
}
