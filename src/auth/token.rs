//! Access tokens (JWT, HS256) and refresh tokens, and the keys behind both.

use std::{collections::HashMap, fs, io, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Viewer, role::Role};
use crate::{
    clock::{Moment, Time},
    error::{Error, Result},
    id::{SessionId, UserId},
    secret::Secret,
};

/// Lifetime of an access token.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Lifetime of a refresh token.
pub(crate) const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The claims of an access token.
pub struct Claims {
    pub user: UserId,
    pub session: SessionId,
    pub role: Role,
    /// The version of the account's access (`users.access_version`). The previous release names none.
    pub access_version: Option<i64>,
    pub issued_at: Time,
}

impl Claims {
    fn viewer(&self) -> Viewer {
        Viewer {
            user: self.user,
            session: self.session,
            role: self.role,
            access_version: self.access_version,
        }
    }
}

/// The claims by their registered names (RFC 7519, section 4.1) and our own. Times are seconds, with microseconds as a
/// fraction.
#[derive(Serialize, Deserialize)]
struct Registered {
    sub: Uuid,
    sid: Uuid,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ver: Option<i64>,
    iat: f64,
    exp: f64,
}

/// The keys, derived from the configured secrets. The first secret signs; all verify, so that a new one can be put in
/// front without signing anyone out.
pub struct Keys {
    kid: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    /// One of each secret, the first one's first.
    refresh: Vec<[u8; 32]>,
    audit: HashMap<String, [u8; 32]>,
}

impl Keys {
    /// Keys from secrets.
    pub fn new(secrets: &[Secret<String>]) -> Result<Self> {
        let first = secrets
            .first()
            .ok_or_else(|| Error::internal("no secret to sign with"))?;
        let verifying = secrets
            .iter()
            .map(|secret| (kid(secret), DecodingKey::from_secret(&derive(secret, "access token"))))
            .collect();
        Ok(Self {
            kid: kid(first),
            signing: EncodingKey::from_secret(&derive(first, "access token")),
            verifying,
            refresh: secrets.iter().map(|secret| derive(secret, "refresh token")).collect(),
            audit: secrets
                .iter()
                .map(|secret| (kid(secret), derive(secret, "audit")))
                .collect(),
        })
    }

    /// The id of the key that signs and seals now.
    pub fn id(&self) -> &str {
        &self.kid
    }

    /// The seal of a message by the audit log's key of this id; `None` if its secret is not (or no longer) configured.
    pub fn seal(&self, key_id: &str, message: &[u8]) -> Option<[u8; 32]> {
        self.audit.get(key_id).map(|key| mac(key, message))
    }

    /// A signed access token, and the viewer that it names.
    pub fn issue(&self, claims: &Claims) -> Result<(Viewer, String)> {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let registered = Registered {
            sub: claims.user.0,
            sid: claims.session.0,
            role: claims.role,
            ver: claims.access_version,
            iat: seconds(claims.issued_at),
            exp: seconds(claims.issued_at + ACCESS_LIFETIME),
        };
        let token = jsonwebtoken::encode(&header, &registered, &self.signing).map_err(Error::internal)?;
        Ok((claims.viewer(), token))
    }

    /// The viewer named by a token that we signed and that has not expired at `now`. Its session may be revoked.
    pub fn verify(&self, token: &str, now: Time) -> Option<Viewer> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is judged below by the clock that was passed in.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Registered>(token, self.verifying.get(&kid)?, &validation)
            .ok()?
            .claims;
        (seconds(now) < claims.exp).then_some(Viewer {
            user: UserId(claims.sub),
            session: SessionId(claims.sid),
            role: claims.role,
            access_version: claims.ver,
        })
    }

    /// The refresh token that follows `token`. Derived, so that two tabs which refresh at once get the same one. The
    /// first is what follows it from now on; the others are what may have followed it under older secrets.
    pub fn successors(&self, token: &str) -> impl Iterator<Item = String> {
        let follows = |key: &[u8; 32]| URL_SAFE_NO_PAD.encode(mac(key, token.as_bytes()));
        self.refresh.iter().map(follows)
    }
}

/// A random token: the first refresh token of a session, or that of a link.
pub(crate) fn random(now: &Moment) -> String {
    URL_SAFE_NO_PAD.encode(now.random::<32>())
}

/// The stored hash of a refresh token.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The secret kept in `file`, generated at the first start and readable by its owner only.
pub(crate) fn secret_of_file(file: &Path, random: [u8; 32]) -> io::Result<Secret<String>> {
    match fs::read_to_string(file) {
        Ok(text) if text.trim().len() >= 32 => Ok(Secret(text.trim().to_owned())),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds less than 32 characters; remove it to have a new one generated",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = URL_SAFE_NO_PAD.encode(random);
            write_for_owner(file, &secret)?;
            Ok(Secret(secret))
        }
        Err(error) => Err(error),
    }
}

fn write_for_owner(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(file)?, text.as_bytes())
}

fn seconds(at: Time) -> f64 {
    at.0 as f64 / 1e6
}

/// The key id of a secret; reveals nothing about it.
fn kid(secret: &Secret<String>) -> String {
    URL_SAFE_NO_PAD.encode(&derive(secret, "key id")[..6])
}

/// One key per purpose from one secret.
fn derive(Secret(secret): &Secret<String>, purpose: &str) -> [u8; 32] {
    mac(secret.as_bytes(), purpose.as_bytes())
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&str]) -> Keys {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret((*secret).to_owned())).collect();
        Keys::new(&secrets).unwrap_or_else(|_| panic!("keys"))
    }

    fn claims(issued_at: Time) -> Claims {
        Claims {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            role: Role::Student,
            access_version: Some(7),
            issued_at,
        }
    }

    #[test]
    fn a_token_is_good_for_fifteen_minutes_to_the_microsecond() {
        let (keys, issued_at) = (keys(&["old secret"]), Time(1_800_000_000_123_456));
        let (_, token) = keys.issue(&claims(issued_at)).ok().expect("a token");
        let end = issued_at + ACCESS_LIFETIME;
        let read = keys.verify(&token, end - Duration::from_micros(1));
        assert_eq!(read.and_then(|viewer| viewer.access_version), Some(7));
        assert!(keys.verify(&token, end).is_none());
    }

    #[test]
    fn a_new_secret_in_front_ends_no_session_and_a_removed_one_does() {
        let now = Time(1_800_000_000_000_000);
        let (_, token) = keys(&["old secret"]).issue(&claims(now)).ok().expect("a token");
        assert!(keys(&["new secret", "old secret"]).verify(&token, now).is_some());
        assert!(keys(&["new secret"]).verify(&token, now).is_none());
    }

    #[test]
    fn a_changed_token_is_refused() {
        let now = Time(1_800_000_000_000_000);
        let keys = keys(&["secret"]);
        let (_, token) = keys.issue(&claims(now)).ok().expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","kid":"{}"}}"#, keys.kid));
        let forged = [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1].replacen('e', "f", 1), parts[2]),
            String::new(),
        ];
        assert!(forged.iter().all(|token| keys.verify(token, now).is_none()));
    }
}
