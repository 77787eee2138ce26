//! Email addresses.

use lettre::Address;

use super::{character::is_invisible, url::host_name};
use crate::error::{Error, Result};

/// An email address in the one form in which it is stored: lower case, its host in the form of the DNS. By the grammar
/// of the library that sends to it, so none is accepted that no email can reach; only an email can prove that it exists.
pub(crate) fn email(argument: &str, text: &str) -> Result<String> {
    read(text).ok_or_else(|| {
        let message = "This is not an e-mail address. Expected e.g. ada@example.com.";
        Error::input(argument, message)
    })
}

/// The form in which to look for an address that somebody claims to have: as it would be stored.
pub(crate) fn email_key(text: &str) -> String {
    read(text).unwrap_or_else(|| text.trim().to_lowercase())
}

fn read(text: &str) -> Option<String> {
    let (name, host) = text.trim().rsplit_once('@')?;
    // Quoted names, comments and other scripts before the @ are in the standards and in no mailbox of a student.
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte);
    if !name.bytes().all(usual) || name.len() > 64 || host.contains(is_invisible) {
        return None;
    }
    let address = format!("{}@{}", name.to_ascii_lowercase(), host_name(host)?);
    (address.len() <= 254 && address.parse::<Address>().is_ok()).then_some(address)
}

#[cfg(test)]
mod tests {
    use lettre::message::Mailbox;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (text, expected) in [
            (" Ada@Example.COM ", "ada@example.com"),
            ("o'neil+exam@example.co.uk", "o'neil+exam@example.co.uk"),
            ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
            ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
            ("ada@ｅxample.com", "ada@example.com"),
            ("ada@localhost", "ada@localhost"),
        ] {
            assert_eq!(email("email", text).ok().as_deref(), Some(expected), "{text:?}");
            assert_eq!(email_key(text), expected);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in [
            "",
            "ada",
            "@x",
            "a@",
            "a@b@c",
            "a b@c.d",
            "a@b..c",
            "a@b.c.",
            "a..b@x.test",
            ".a@x.test",
            "a.@x.test",
            "<a@b.c>",
            "\"a b\"@b.c",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@%61.c",
            "a@-b.c",
            "a\u{202E}@b.c",
            "a\u{200B}@b.c",
            "a@b\u{200B}.c",
            "a@b\u{AD}.c",
            "аda@b.c",
            "a@b.c\0",
            "a@b.c\r\nBcc: x@y.z",
            &format!("{}@b.c", "a".repeat(65)),
            &format!("a@{}.c", "b".repeat(64)),
        ] {
            assert!(email("email", nonsense).is_err(), "{nonsense:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_can_be_sent_to_and_stays_as_it_is(text in "[a-z.'+\"\\\\ (]{1,6}@[a-zü.\u{200d}-]{1,8}") {
            if let Ok(address) = email("email", &text) {
                prop_assert!(address.parse::<Mailbox>().is_ok());
                prop_assert_eq!(email("email", &address).ok(), Some(address));
            }
        }
    }
}
