//! Operations that go by an id instead of their text: what clients have sent before goes by its hash (Apollo's automatic
//! persisted queries, <https://www.apollographql.com/docs/apollo-server/performance/apq>), and what a manifest lists, which is
//! all that may run at all, by the id that it has there.
//!
//! | a request carries | |
//! |---|---|
//! | `extensions.persistedQuery.sha256Hash` | the hash, or the id of a manifest |
//! | `documentId: "sha256:…"` | the hash ([GraphQL over HTTP, appendix A][appendix]) |
//! | `documentId`, anything else | the id of a manifest, as Relay and GraphQL Code Generator name documents |
//!
//! [appendix]: https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    /// Manifest of the only operations that run, except for staff, as JSON: apollo-persisted-query-manifest, or an object of
    /// ids and documents (relay-compiler's persisted file, persisted-documents.json of GraphQL Code Generator); without one,
    /// all may.
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

/// What generators write.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    /// `apollo-persisted-query-manifest`, of Apollo's generators for the web, Kotlin and iOS.
    Apollo(ApolloFile),
    /// A document by its id: relay-compiler with `persistConfig.file`, and the client preset of GraphQL Code Generator with
    /// `persistedDocuments`.
    Ids(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct ApolloFile {
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

    /// Puts the text of the document into a request that came without it. Returns the hash if the text came along and is
    /// to be remembered once it has proved good.
    pub async fn resolve(&self, request: &mut Request, staff: bool) -> Result<Option<Hash>> {
        let id = Id::of(request)?;
        let text = !request.query.is_empty();
        match &id {
            Some(Id::Hash(hash)) if text && *hash != hex::encode(Sha256::digest(&request.query)) => {
                return Err(bad("`sha256Hash` is not the hash of `query`."));
            }
            Some(Id::Listed(_)) if text => {
                return Err(bad(
                    "Send `query` or `documentId`; both only if it is `sha256:` and the hash.",
                ));
            }
            _ => {}
        }
        if let Some(manifest) = &self.manifest {
            let listed = match &id {
                _ if text => manifest.texts.contains(request.query.as_str()) || request.query == SIGN_IN,
                Some(Id::Hash(id) | Id::Listed(id)) => match manifest.by_id.get(id) {
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
        match id {
            Some(Id::Hash(hash)) if text => Ok(Some(hash).filter(|_| self.manifest.is_none() || staff)),
            Some(Id::Hash(hash)) => {
                let known = self.learnt.get(&hash).await.ok_or(Error::NotPersisted)?;
                request.query = known.to_string();
                Ok(None)
            }
            Some(Id::Listed(_)) => Err(Error::NotPersisted),
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
        let documents: Vec<(String, String)> = match serde_json::from_str(&text) {
            Ok(File::Apollo(file)) if file.format == "apollo-persisted-query-manifest" && file.version == 1 => file
                .operations
                .into_iter()
                .map(|entry| (entry.id, entry.body))
                .collect(),
            Ok(File::Ids(documents)) if !documents.is_empty() => documents.into_iter().collect(),
            Ok(_) | Err(_) => {
                return Err(bad(
                    "expected the format apollo-persisted-query-manifest, version 1, or an object of ids and documents"
                        .into(),
                ));
            }
        };
        let mut by_id = HashMap::new();
        for (id, document) in documents {
            let document: Arc<str> = document.into();
            by_id.insert(hex::encode(Sha256::digest(&*document)), document.clone());
            by_id.insert(id, document);
        }
        Ok(Self {
            texts: by_id.values().cloned().collect(),
            by_id,
        })
    }
}

/// What a request calls its document.
enum Id {
    /// SHA-256 in lower-case hexadecimal, or what a manifest has in its place.
    Hash(Hash),
    /// A name that only a manifest can give.
    Listed(String),
}

/// The extension that holds `documentId`, for which the library's request has no place.
const DOCUMENT_ID: &str = "documentId";

/// Has a request go by the id of its document.
pub(crate) fn name(request: &mut Request, document_id: String) {
    request.extensions.insert(DOCUMENT_ID.into(), document_id.into());
}

impl Id {
    fn of(request: &Request) -> Result<Option<Self>> {
        let document_id = match request.extensions.get(DOCUMENT_ID) {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(match id.strip_prefix("sha256:") {
                Some(hash) => Self::Hash(hash.to_owned()),
                None => Self::Listed(id.clone()),
            }),
            Some(_) => return Err(bad("`documentId` must be a string.")),
        };
        let hash = match request.extensions.get("persistedQuery") {
            None | Some(Value::Null) => return Ok(document_id),
            Some(Value::Object(about)) => match (about.get("version"), about.get("sha256Hash")) {
                (Some(Value::Number(version)), Some(Value::String(hash))) if version.as_u64() == Some(1) => hash,
                _ => return Err(bad("`persistedQuery` needs `version` 1 and `sha256Hash`.")),
            },
            Some(_) => return Err(bad("`persistedQuery` must be an object.")),
        };
        match document_id {
            None => Ok(Some(Self::Hash(hash.to_ascii_lowercase()))),
            Some(_) => Err(bad("Send `documentId` or `persistedQuery`, not both.")),
        }
    }
}

fn bad(message: &str) -> Error {
    Error::BadInput(message.into())
}
