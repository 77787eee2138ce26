//! Pictures are decoded and encoded anew. What is stored holds pixels and nothing else: no comment, no place where a photo
//! was taken, no script behind the end of the picture, no file that is a picture to one program and a page to another.

use std::io::Cursor;

use image::{
    AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    codecs::{
        gif::{GifDecoder, GifEncoder, Repeat},
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
    metadata::Orientation,
};

use crate::entity::picture::Format;

/// The most pixels of each side.
const MAX_SIDE: u32 = 4096;
/// The most pixels of all frames of an animation, four bytes each.
const MAX_ANIMATED_PIXELS: u64 = 32 * 1024 * 1024;
/// What decoding may take of memory, in bytes: the pixels of the largest picture, eight bytes each, and as much again.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// The most bytes of a picture as it is stored, and fetched by phones.
const MAX_STORED: usize = 4 * 1024 * 1024;
/// Of 100; nobody sees a difference from there on.
const JPEG_QUALITY: u8 = 90;

/// A picture as it is stored.
pub(super) struct Encoded {
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub bytes: Vec<u8>,
}

/// Why a picture is refused, and what to do.
type Refusal = String;

/// Decodes a picture by what it is, whatever its name, and encodes it anew in the same format.
pub(super) fn anew(content: &[u8]) -> Result<Encoded, Refusal> {
    let kinds = "Send a PNG, JPEG, WebP or GIF picture. Save others (SVG, too, as it may hold scripts) as PNG.";
    let known = image::guess_format(content).map_err(|_| kinds)?;
    let format = match known {
        ImageFormat::Png => Format::Png,
        ImageFormat::Jpeg => Format::Jpeg,
        ImageFormat::WebP => Format::Webp,
        ImageFormat::Gif => Format::Gif,
        _ => return Err(kinds.to_owned()),
    };
    let unreadable = |_| "This picture can't be read: it is damaged, or cut short. Save it again, and send that.";
    let mut reader = ImageReader::with_format(Cursor::new(content), known);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        image::ImageError::Limits(_) => too_large(),
        error => unreadable(error).to_owned(),
    })?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(too_large());
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let bytes = if format == Format::Gif {
        drop(decoder);
        animation(content, u64::from(width) * u64::from(height))?
    } else {
        let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
        // Photos lie on their side, and say so in what is not kept.
        image.apply_orientation(orientation);
        return still(&image, format);
    };
    whole(format, (width, height), bytes)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

fn too_large() -> Refusal {
    format!("A picture has at most {MAX_SIDE} by {MAX_SIDE} pixels. Save it smaller, and send that.")
}

fn whole(format: Format, (width, height): (u32, u32), bytes: Vec<u8>) -> Result<Encoded, Refusal> {
    if bytes.len() > MAX_STORED {
        let message =
            "This picture is too large for phones once it is stored without loss. Save it smaller, or as JPEG.";
        return Err(message.to_owned());
    }
    Ok(Encoded {
        format,
        width,
        height,
        bytes,
    })
}

/// A picture that does not move. The same pixels become the same bytes.
fn still(image: &DynamicImage, format: Format) -> Result<Encoded, Refusal> {
    let failed =
        |error: image::ImageError| format!("This picture can't be stored: {error}. Save it as PNG, and send that.");
    let mut bytes = Vec::new();
    match format {
        Format::Jpeg => {
            let image = image.to_rgb8();
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&image)
        }
        Format::Webp => {
            let image = image.to_rgba8();
            let (width, height) = image.dimensions();
            WebPEncoder::new_lossless(&mut bytes).write_image(&image, width, height, ExtendedColorType::Rgba8)
        }
        Format::Png | Format::Gif => {
            let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
            image.write_with_encoder(encoder)
        }
    }
    .map_err(failed)?;
    whole(format, (image.width(), image.height()), bytes)
}

/// A picture that may move, with all of its frames.
fn animation(content: &[u8], pixels: u64) -> Result<Vec<u8>, Refusal> {
    let damaged = "This GIF can't be read: it is damaged, or cut short. Save it again, and send that.";
    let mut decoder = GifDecoder::new(Cursor::new(content)).map_err(|_| damaged)?;
    decoder.set_limits(limits()).map_err(|_| too_large())?;
    let (mut frames, mut sum) = (Vec::new(), 0);
    for frame in decoder.into_frames() {
        sum += pixels;
        if sum > MAX_ANIMATED_PIXELS {
            return Err("This animation has too many frames for its size. Save it smaller, and send that.".to_owned());
        }
        frames.push(frame.map_err(|_| damaged)?);
    }
    if frames.is_empty() {
        return Err(damaged.to_owned());
    }
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    let moves = frames.len() > 1;
    let repeated = if moves {
        encoder.set_repeat(Repeat::Infinite)
    } else {
        Ok(())
    };
    let encoded = repeated.and_then(|()| encoder.encode_frames(frames));
    drop(encoder);
    encoded.map_err(|_| damaged)?;
    Ok(bytes)
}
