//! Paths to pictures.

use crate::text::{REPLACEMENT, is_unsafe};

/// In characters.
const MAX_IMAGE: usize = 255;

/// SVG is not among them: it can carry script.
const IMAGE_ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// Whether a path leads to a picture and cannot lead out of the image folder, however it is joined
/// or decoded later.
pub(super) fn is_safe_image(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_picture = IMAGE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str());
    // A colon makes a drive or a URL scheme; the others mean something to a shell or a URL.
    let is_plain = !path.contains(['\\', ':', '?', '*', '<', '>', '|', '"'])
        && !path.contains(|c| is_unsafe(c) || matches!(c, '\n' | '\t' | REPLACEMENT));
    // An empty segment is a leading or doubled slash; "." and ".." climb, and some systems also
    // overlook blanks and dots at a segment's end.
    let stays_inside = path
        .split('/')
        .all(|segment| !segment.trim_end_matches(['.', ' ']).is_empty());
    is_picture && is_plain && stays_inside && !is_percent_encoded(path) && path.chars().count() <= MAX_IMAGE
}

fn is_percent_encoded(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|part| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stay_in_their_folder() {
        for path in [
            "frog.png",
            "cells/frog heart.JPEG",
            "a/b/c.webp",
            "50%.gif",
            "v1.2/dots...png",
            "\u{645}\u{6CC}\u{646}\u{688}\u{6A9}.jpg",
        ] {
            assert!(is_safe_image(path), "{path}");
        }
        for path in [
            "../../etc/passwd",
            "../frog.png",
            "a/../frog.png",
            "a/.. /frog.png",
            "./frog.png",
            "/frog.png",
            "//host/frog.png",
            "a//frog.png",
            "C:/frog.png",
            "C:frog.png",
            "a\\frog.png",
            "%2e%2e/frog.png",
            "a%2Ffrog.png",
            "%252e%252e/frog.png",
            "https://example.org/frog.png",
            "data:image/png",
            "frog.png\0",
            "frog\n.png",
            "frog\u{202E}gnp.png",
            "frog.svg",
            "frog.png?x=.png",
            "frog",
            "frog.",
            "png",
        ] {
            assert!(!is_safe_image(path), "{path:?}");
        }
        assert!(!is_safe_image(&format!("{}.png", "a".repeat(MAX_IMAGE))));
    }
}
