//! How a file is read, as it is kept with the import.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::error::{Error, Result};

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    /// Only this sheet.
    pub sheet: Option<String>,
    #[serde(flatten)]
    pub settings: Settings,
}

impl Options {
    /// As it is stored.
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// As it was stored; the defaults for what an older release sent.
    pub(crate) fn read(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }
}
