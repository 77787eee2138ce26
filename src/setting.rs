//! Readers of configured values, for the sections of the rooms. A section is a struct that derives [`confique::Config`]:
//! each field is a key with its name in the environment, its default, its check and its documentation.

use std::{fmt::Display, str::FromStr, time::Duration};

use confique::{Config, Layer};
use serde::{Deserialize, Deserializer, de::Error};

/// A section in which nothing is configured.
pub(crate) fn defaults<S: Config>() -> S {
    S::from_layer(Layer::default_values()).unwrap_or_else(|error| unreachable!("the defaults are valid: {error}"))
}

/// Reads what is written as text, here and in the file.
pub(crate) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

/// Reads a time in milliseconds.
pub(crate) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// Reads a list: with commas in the environment, an array in the file.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "neither a text with commas nor an array of texts")]
    enum Form {
        Text(String),
        Array(Vec<String>),
    }
    let parts = match Form::deserialize(deserializer)? {
        Form::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        Form::Array(parts) => parts,
    };
    Ok(parts.into_iter().filter(|part: &String| !part.is_empty()).collect())
}
