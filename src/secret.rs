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
        let value = T::deserialize(deserializer).map_err(|_| D::Error::custom("not a text"))?;
        Ok(Self(value))
    }
}
