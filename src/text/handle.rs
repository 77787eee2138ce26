//! Handles: the names on boards.

use crate::error::{Error, Result, UserErrorCode};

/// What nobody is called who registers: a reader of a board or of a message would take them for the site.
const RESERVED: &[&str] = &[
    "abuse",
    "account",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "billing",
    "bot",
    "contact",
    "deleted",
    "demo",
    "editor",
    "everyone",
    "examiner",
    "exams",
    "graphql",
    "guest",
    "help",
    "helpdesk",
    "info",
    "mail",
    "marmalade",
    "me",
    "mod",
    "moderator",
    "news",
    "nobody",
    "null",
    "official",
    "owner",
    "postmaster",
    "privacy",
    "root",
    "security",
    "service",
    "staff",
    "student",
    "support",
    "sysadmin",
    "system",
    "teacher",
    "team",
    "test",
    "undefined",
    "user",
    "viewer",
    "webmaster",
];

/// A handle: 3 to 24 ASCII letters, digits and underscores, so one script for all.
pub(crate) fn handle(argument: &str, text: &str) -> Result<String> {
    let valid = (3..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid {
        Ok(text.to_owned())
    } else {
        let message = "A handle has 3 to 24 letters (a to z), digits or underscores.";
        Err(Error::input(argument, message))
    }
}

/// A handle that somebody chooses for themselves: nothing that looks like the site speaks.
pub(crate) fn own_handle(argument: &str, text: &str) -> Result<String> {
    let handle = handle(argument, text)?;
    let looks = look(&handle.replace('_', ""));
    let taken = |reserved: &&str| looks == look(reserved) || looks == look(&reserved.to_uppercase());
    if RESERVED.iter().any(taken) {
        let message = "This handle is reserved for the site. Choose another one.";
        return Err(Error::refused(UserErrorCode::Conflict, message).at(argument));
    }
    Ok(handle)
}

/// What a handle looks like: two of the same look are told apart by nobody. The ASCII part of the confusables of
/// [Unicode Technical Standard #39, section 4](https://www.unicode.org/reports/tr39/#Confusable_Detection), whatever the
/// case; the migration that stores it computes the same.
pub(crate) fn look(handle: &str) -> String {
    let alike = handle.replace(['I', '1'], "l").to_ascii_lowercase();
    alike.replace('0', "o").replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_of_one_script_and_nobody_is_the_site() {
        for good in ["Ada_1815", "arnold", "adminton", "user_27", "Ali"] {
            assert!(own_handle("handle", good).is_ok(), "{good}");
        }
        for nonsense in ["ab", "a".repeat(25).as_str(), "аda", "a da", "a.b.c", "ada\u{200B}"] {
            assert!(handle("handle", nonsense).is_err(), "{nonsense:?}");
        }
        for site in [
            "admin",
            "Admin",
            "ADM1N",
            "adrnin",
            "_admin_",
            "ad_min",
            "R00t",
            "Supp0rt",
            "rnarrnalade",
        ] {
            assert!(own_handle("handle", site).is_err(), "{site}");
        }
        assert!(handle("handle", "admin").is_ok(), "staff are named by staff");
    }

    #[test]
    fn what_can_not_be_told_apart_looks_the_same() {
        for (one, other) in [
            ("Ali", "AIi"),
            ("al1", "all"),
            ("Zo0", "zOo"),
            ("emma", "ernma"),
            ("wow", "vvow"),
        ] {
            assert_eq!(look(one), look(other), "{one} and {other}");
        }
        for (one, other) in [("ali", "all"), ("ada_1", "ada_2"), ("ada_1", "ada1"), ("ana", "anna")] {
            assert_ne!(look(one), look(other), "{one} and {other}");
        }
    }
}
