//! Access tokens (JWT, HS256) and refresh tokens, and the keys behind both.

mod hs256;

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
    audit: HashMap<String, AuditKeys>,
}

/// What a key of the audit log proves. Each purpose has a key of its own, so that no proof passes for another.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// A seal, as the previous release makes and expects it; and digests of email addresses.
    Seal,
    /// That a server, and nobody else, has written an entry.
    Entry,
    /// The reason that was given for an action.
    Reason,
    /// The place of an entry in the chain.
    Chain,
    /// The head of the chain.
    Head,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Seal, Self::Entry, Self::Reason, Self::Chain, Self::Head];

    fn name(self) -> &'static str {
        match self {
            Self::Seal => "audit",
            Self::Entry => "audit entry",
            Self::Reason => "audit reason",
            Self::Chain => "audit chain",
            Self::Head => "audit head",
        }
    }
}

/// The keys of the audit log from one secret.
struct AuditKeys {
    /// By purpose.
    keys: [[u8; 32]; Purpose::ALL.len()],
    is_retired: bool,
}

impl AuditKeys {
    fn of(secret: &Secret<String>, is_retired: bool) -> (String, Self) {
        let keys = Purpose::ALL.map(|purpose| derive(secret, purpose.name()));
        (kid(secret), Self { keys, is_retired })
    }
}

impl Keys {
    /// Keys from secrets.
    pub fn new(secrets: &[Secret<String>]) -> Result<Self> {
        let first = secrets
            .first()
            .ok_or_else(|| Error::internal("no secret to sign with"))?;
        hs256::install();
        let verifying = secrets
            .iter()
            .map(|secret| (kid(secret), DecodingKey::from_secret(&derive(secret, "access token"))))
            .collect();
        Ok(Self {
            kid: kid(first),
            signing: EncodingKey::from_secret(&derive(first, "access token")),
            verifying,
            refresh: secrets.iter().map(|secret| derive(secret, "refresh token")).collect(),
            audit: secrets.iter().map(|secret| AuditKeys::of(secret, false)).collect(),
        })
    }

    /// The same, and former secrets that verify the audit log and nothing else.
    pub(crate) fn with_retired(mut self, secrets: &[Secret<String>]) -> Self {
        for (id, keys) in secrets.iter().map(|secret| AuditKeys::of(secret, true)) {
            self.audit.entry(id).or_insert(keys);
        }
        self
    }

    /// The id of the key that signs and seals now.
    pub fn id(&self) -> &str {
        &self.kid
    }

    /// The HMAC-SHA256 of a message by the audit log's key of this id; `None` if its secret is not configured.
    pub fn audit_mac(&self, key_id: &str, purpose: Purpose, message: &[u8]) -> Option<[u8; 32]> {
        let keys = self.audit.get(key_id)?;
        Some(mac(&keys.keys[purpose as usize], message))
    }

    /// Whether the key of this id verifies what is old, and makes nothing new.
    pub(crate) fn is_retired(&self, key_id: &str) -> bool {
        self.audit.get(key_id).is_some_and(|keys| keys.is_retired)
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

    /// The first refresh token of a session.
    pub fn refresh_token(&self, now: &Moment) -> String {
        issued_by(&self.refresh[0], now.random())
    }

    /// Whether this may be a refresh token of ours: each has a tag that only we can write, so that what others make up
    /// is known without a look into the tables. (Tokens of before there were tags are not.)
    pub fn issued(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((random, tag)) = bytes.split_at_checked(32) else {
            return false;
        };
        tag.len() == TAG_BYTES
            && self
                .refresh
                .iter()
                .any(|key| tagging(key, random).verify_truncated_left(tag).is_ok())
    }

    /// A token by which a device is known the next time that this account signs in on it with this password. It tells
    /// nothing about the account. ([Device cookies][owasp]; theirs name the account, which a shared browser should not.)
    ///
    /// [owasp]: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
    pub fn device_token(&self, device: [u8; 16], account: UserId, password_hash: &str) -> String {
        let seal = knowing(&self.refresh[0], device, account, password_hash).finalize();
        URL_SAFE_NO_PAD.encode([&device[..], &seal.into_bytes()[..]].concat())
    }

    /// The device of a token, if it was issued for this account and its present password.
    pub fn known_device(&self, token: &str, account: UserId, password_hash: &str) -> Option<[u8; 16]> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (device, seal) = bytes.split_first_chunk::<16>()?;
        let knows = |key: &[u8; 32]| knowing(key, *device, account, password_hash).verify_slice(seal).is_ok();
        self.refresh.iter().any(knows).then_some(*device)
    }

    /// The refresh token that follows `token`. Derived, so that two tabs which refresh at once get the same one. The
    /// first is what follows it from now on; the others are what may have followed it under older secrets.
    pub fn successors(&self, token: &str) -> impl Iterator<Item = String> {
        let follows = |key: &[u8; 32]| issued_by(key, mac(key, token.as_bytes()));
        self.refresh.iter().map(follows)
    }
}

/// The length of a refresh token's tag. A wrong one costs its sender a request, so it need not be long.
const TAG_BYTES: usize = 8;

fn issued_by(key: &[u8; 32], random: [u8; 32]) -> String {
    let tag = tagging(key, &random).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([&random[..], &tag[..TAG_BYTES]].concat())
}

/// The colon, which base64 does not have, tells it from the derivation of a successor.
fn tagging(key: &[u8; 32], random: &[u8]) -> Hmac<Sha256> {
    hmac(key, &[b"refresh:", random])
}

fn knowing(key: &[u8; 32], device: [u8; 16], account: UserId, password_hash: &str) -> Hmac<Sha256> {
    hmac(
        key,
        &[b"device:", &device, account.0.as_bytes(), password_hash.as_bytes()],
    )
}

/// A random token, as links have.
pub(crate) fn random(now: &Moment) -> String {
    URL_SAFE_NO_PAD.encode(now.random::<32>())
}

/// The stored hash of a refresh token.
pub(crate) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The secret kept in `file`, generated at the first start and readable by its owner only.
pub(crate) fn secret_of_file(file: &Path, random: [u8; 32]) -> io::Result<Secret<String>> {
    if let Some(secret) = read_secret(file)? {
        return Ok(secret);
    }
    let secret = Secret(URL_SAFE_NO_PAD.encode(random));
    // Whole or not there: of processes that start at once, one makes it and the others read it.
    let own = file.with_extension(kid(&secret));
    write_for_owner(&own, &secret.0)?;
    let linked = fs::hard_link(&own, file);
    fs::remove_file(&own)?;
    match linked {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_secret(file)?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The secret kept in `file`, if it is there.
pub(crate) fn read_secret(file: &Path) -> io::Result<Option<Secret<String>>> {
    match fs::read_to_string(file) {
        Ok(text) if text.trim().len() >= 32 => Ok(Some(Secret(text.trim().to_owned()))),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds less than 32 characters; remove it to have a new one generated",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
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
    hmac(key, &[message]).finalize().into_bytes().into()
}

fn hmac(key: &[u8], message: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    for part in message {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1.
    #[test]
    fn the_example_of_the_standard_verifies() {
        hs256::install();
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = URL_SAFE_NO_PAD.decode(key).expect("base64");
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                       eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let signed =
            |algorithm| jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&key), algorithm);
        assert_eq!(signed(Algorithm::HS256).ok().as_deref(), Some(signature));
        assert!(
            signed(Algorithm::HS384).is_err() && signed(Algorithm::RS256).is_err(),
            "there is no other algorithm"
        );
        let verified = |signature, key: &[u8]| {
            let key = DecodingKey::from_secret(key);
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::HS256).ok()
        };
        assert_eq!(verified(signature, &key), Some(true));
        assert_eq!(verified(signature, b"another"), Some(false));
        assert_eq!(verified(&signature[..40], &key), Some(false));
    }

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

    #[test]
    fn a_refresh_token_that_others_make_up_is_known_as_theirs() {
        let clock: std::sync::Arc<dyn crate::clock::Clock> = std::sync::Arc::new(crate::clock::SystemClock);
        let [keys, others] = [&["secret", "old secret"][..], &["another secret"]].map(keys);
        let first = keys.refresh_token(&Moment::of(&clock));
        let chain: Vec<_> = keys.successors(&first).chain([first.clone()]).collect();
        assert_eq!(chain.len(), 3);
        for token in chain {
            assert!(keys.issued(&token) && !others.issued(&token));
            assert!(!keys.issued(&token[1..]) && !keys.issued(&format!("{token}AA")));
        }
        assert!(!keys.issued("") && !keys.issued(&random(&Moment::of(&clock))));
    }

    #[test]
    fn a_device_is_known_to_one_account_by_its_present_password() {
        let (old, [ada, bob]) = (keys(&["old secret"]), [1, 2].map(|n| UserId(Uuid::from_u128(n))));
        let token = old.device_token([7; 16], ada, "hash");
        let rotated = keys(&["new secret", "old secret"]);
        assert_eq!(rotated.known_device(&token, ada, "hash"), Some([7; 16]));
        assert_eq!(rotated.known_device(&token, bob, "hash"), None);
        assert_eq!(rotated.known_device(&token, ada, "another hash"), None);
        assert_eq!(rotated.known_device(&token[..30], ada, "hash"), None);
        assert_eq!(keys(&["new secret"]).known_device(&token, ada, "hash"), None);
    }
}
