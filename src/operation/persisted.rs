//! Operations that go by the hash of their text: what clients have sent before (Apollo's automatic persisted queries,
//! <https://www.apollographql.com/docs/apollo-server/performance/apq>), and a manifest of what may run at all.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_graphql::{Request, Value};
use moka::future::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cost::Bounds;
use crate::error::{Error, Result};

/// The keys of operations.
#[derive(Clone, Debug, confique::Config)]
pub struct Settings {
    /// Manifest (apollo-persisted-query-manifest, JSON) of the only operations that run, except for staff; without one, all
    /// may.
    #[config(env = "MARMALADE_OPERATIONS")]
    pub manifest: Option<PathBuf>,
    #[config(nested)]
    pub bounds: Bounds,
}

/// Documents that clients have taught this server, in bytes.
const LEARNT_BYTES: u64 = 16 * 1024 * 1024;

/// GraphiQL's sign-in page: staff must get in, whatever the manifest says.
const SIGN_IN: &str = "mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { handle role } errors { code message } }
}";

/// The hash of a document that is to be remembered.
pub(crate) type Hash = String;

/// The operations that may run, and which of them go by a hash.
pub struct Operations {
    /// Bounds of each operation.
    pub(super) bounds: Bounds,
    /// Whether introspection is open to everyone; staff always have it.
    pub(super) open_introspection: bool,
    learnt: Cache<Hash, Arc<str>>,
    manifest: Option<Manifest>,
}

/// The operations that a locked-down site runs: by id, and by text.
struct Manifest {
    by_id: HashMap<String, Arc<str>>,
    texts: HashSet<Arc<str>>,
}

/// The format `apollo-persisted-query-manifest`, as Apollo's, Relay's and Apollo iOS' generators write it.
#[derive(Deserialize)]
struct File {
    format: String,
    version: u32,
    operations: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    body: String,
}

impl Operations {
    /// Nothing is known yet but what the manifest lists, if there is one.
    pub fn new(settings: &Settings, open_introspection: bool) -> Result<Self> {
        let weigh = |_: &Hash, document: &Arc<str>| u32::try_from(document.len() + 128).unwrap_or(u32::MAX);
        Ok(Self {
            bounds: settings.bounds,
            open_introspection,
            learnt: Cache::builder().max_capacity(LEARNT_BYTES).weigher(weigh).build(),
            manifest: settings.manifest.as_deref().map(Manifest::read).transpose()?,
        })
    }

    /// Puts the text of the document into a request that came with its hash. Returns the hash if the text came along
    /// and is to be remembered once it has proved good.
    pub async fn resolve(&self, request: &mut Request, staff: bool) -> Result<Option<Hash>> {
        let hash = match request.extensions.get("persistedQuery") {
            None | Some(Value::Null) => None,
            Some(Value::Object(about)) => match (about.get("version"), about.get("sha256Hash")) {
                (Some(Value::Number(version)), Some(Value::String(hash))) if version.as_u64() == Some(1) => {
                    Some(hash.to_ascii_lowercase())
                }
                _ => return Err(bad("`persistedQuery` needs `version` 1 and `sha256Hash`.")),
            },
            Some(_) => return Err(bad("`persistedQuery` must be an object.")),
        };
        let text = !request.query.is_empty();
        if let Some(hash) = &hash
            && text
            && *hash != hex::encode(Sha256::digest(&request.query))
        {
            return Err(bad("`sha256Hash` is not the hash of `query`."));
        }
        if let Some(manifest) = &self.manifest {
            let listed = match &hash {
                _ if text => manifest.texts.contains(request.query.as_str()) || request.query == SIGN_IN,
                Some(hash) => match manifest.by_id.get(hash) {
                    Some(document) => {
                        request.query = document.to_string();
                        return Ok(None);
                    }
                    None => false,
                },
                None => false,
            };
            if !listed && !staff {
                return Err(Error::NotPersisted);
            }
        }
        match hash {
            Some(hash) if text => Ok(Some(hash).filter(|_| self.manifest.is_none() || staff)),
            Some(hash) => {
                let known = self.learnt.get(&hash).await.ok_or(Error::NotPersisted)?;
                request.query = known.to_string();
                Ok(None)
            }
            None if text => Ok(None),
            None => Err(bad("`query` is missing.")),
        }
    }

    /// Remembers a document under its hash, as long as there is room.
    pub async fn learn(&self, hash: Hash, document: &str) {
        self.learnt.insert(hash, document.into()).await;
    }
}

impl Manifest {
    fn read(file: &Path) -> Result<Self> {
        let bad = |why: String| Error::internal(format!("MARMALADE_OPERATIONS: {}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
        let read: File = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if read.format != "apollo-persisted-query-manifest" || read.version != 1 {
            return Err(bad(
                "expected the format apollo-persisted-query-manifest, version 1".into()
            ));
        }
        let entries = read.operations.into_iter();
        let by_id: HashMap<String, Arc<str>> = entries.map(|entry| (entry.id, entry.body.into())).collect();
        Ok(Self {
            texts: by_id.values().cloned().collect(),
            by_id,
        })
    }
}

fn bad(message: &str) -> Error {
    Error::BadInput(message.into())
}
