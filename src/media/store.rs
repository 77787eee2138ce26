//! Where the bytes of pictures are kept: in a folder, under the hash of what they are. A name never has other bytes, so
//! files are written once, never changed, and may be kept by whoever has fetched one.
//!
//! All servers of a site use one folder. A store elsewhere, such as a bucket, is another arm of [`Store`].

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::{
    config::Config,
    entity::picture::{self, Format},
    error::{Error, Result},
};

/// The place of the bytes of all pictures.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder of this machine, or one that several share.
    Folder(PathBuf),
}

/// The name of a picture in the store and in URLs: its hash, and what its format is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    hash: [u8; 32],
    format: Format,
}

impl Name {
    /// The name of bytes with this SHA-256.
    pub(crate) fn new(hash: [u8; 32], format: Format) -> Self {
        Self { hash, format }
    }

    /// The name of a picture's bytes.
    pub fn of(picture: &picture::Model) -> Option<Self> {
        let hash = hex::decode(&picture.sha256).ok()?.try_into().ok()?;
        let format = picture.format;
        Some(Self { hash, format })
    }

    /// Reads a name of 64 lower-case hexadecimal digits, a point and an extension. Nothing else is one, so no name leads
    /// out of the folder.
    pub fn read(text: &str) -> Option<Self> {
        let (digits, extension) = text.split_once('.')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = Some(digits).filter(|digits| digits.len() == 64 && digits.bytes().all(is_digit))?;
        let format = FORMATS.into_iter().find(|(_, known, _)| *known == extension)?.0;
        let hash = hex::decode(digits).ok()?.try_into().ok()?;
        Some(Self { hash, format })
    }

    /// The hash, in hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        hex::encode(self.hash)
    }

    /// The media type of the bytes.
    pub fn media_type(&self) -> &'static str {
        self.terms().1
    }

    fn terms(&self) -> (&'static str, &'static str) {
        let (_, extension, media_type) = FORMATS[self.format as usize];
        (extension, media_type)
    }
}

/// Each format with its extension and its media type, in their order.
const FORMATS: [(Format, &str, &str); 4] = [
    (Format::Png, "png", "image/png"),
    (Format::Jpeg, "jpg", "image/jpeg"),
    (Format::Webp, "webp", "image/webp"),
    (Format::Gif, "gif", "image/gif"),
];

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.hash(), self.terms().0)
    }
}

impl Store {
    /// The configured store. Nothing is made before the first picture.
    pub fn of(config: &Config) -> Self {
        let folder = config.site.media_dir.clone();
        Self::Folder(folder.unwrap_or_else(|| config.site.data_dir.join("media")))
    }

    /// Keeps bytes under their name. The same again changes nothing.
    pub(crate) async fn put(&self, name: &Name, bytes: Vec<u8>) -> Result<()> {
        let Self::Folder(folder) = self.clone();
        let name = *name;
        let written = spawn_blocking(move || write(&folder, &name, &bytes));
        written.await.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// The bytes of this name; `None` if there are none. Bytes that are not what the name says are not given out.
    pub async fn get(&self, name: &Name) -> Result<Option<Vec<u8>>> {
        let Self::Folder(folder) = self;
        let (path, hash) = (path(folder, name), name.hash);
        let read = spawn_blocking(move || match std::fs::read(&path) {
            Ok(bytes) if Sha256::digest(&bytes)[..] == hash => Ok(Some(bytes)),
            Ok(_) => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{} was changed", path.display()),
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        read.await.map_err(Error::internal)?.map_err(Error::internal)
    }
}

/// By the first two digits, so that no folder holds all.
fn path(folder: &Path, name: &Name) -> PathBuf {
    let text = name.to_string();
    folder.join(&text[..2]).join(text)
}

/// Writes a file whole or not at all: under another name first, on the disk, then under its own.
fn write(folder: &Path, name: &Name, bytes: &[u8]) -> io::Result<()> {
    let path = path(folder, name);
    let is_whole = |bytes: &Vec<u8>| Sha256::digest(bytes)[..] == name.hash;
    if std::fs::read(&path).is_ok_and(|bytes| is_whole(&bytes)) {
        return Ok(());
    }
    let within = path.parent().unwrap_or(folder);
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(within)?;
    // Two at once write the same bytes, each to a file of its own.
    let unfinished = within.join(format!("{name}.{}", uuid::Uuid::new_v4().simple()));
    let written = std::fs::File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let written = written.and_then(|()| std::fs::rename(&unfinished, &path));
    if written.is_err() {
        std::fs::remove_file(&unfinished).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_hash_and_nothing_else() {
        for (n, (format, ..)) in FORMATS.into_iter().enumerate() {
            assert_eq!(format as usize, n);
        }
        let digits = "0123456789abcdef".repeat(4);
        let name = Name::read(&format!("{digits}.jpg")).expect("a name");
        assert_eq!(
            (name.to_string(), name.media_type()),
            (format!("{digits}.jpg"), "image/jpeg")
        );
        for text in [
            digits.clone(),
            format!("{digits}.svg"),
            format!("{digits}.png.html"),
            format!("{digits}."),
            format!("{}.png", digits.to_uppercase()),
            format!("{digits}0.png"),
            format!("../{digits}.png"),
            format!("..{}.png", &digits[..62]),
            format!("{}/{}.png", &digits[..2], &digits[3..]),
            "../secret".to_owned(),
            String::new(),
        ] {
            assert_eq!(Name::read(&text), None, "{text}");
        }
    }
}
