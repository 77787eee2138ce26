//! Pictures: taken for what they are, kept once, served for ever.

use std::io::Cursor;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use marmalade::{
    auth::role::Role,
    entity::question::Kind,
    id::PictureId,
    quiz::{author::NewQuestion, right::Right},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    kinds::{question, quiz},
    on_both_databases,
    support::{Actor, TestApp},
};

const UPLOAD: &str = "mutation($content: String!) { uploadPicture(input: {content: $content, altText: \" A cell \",
    reason: \"For a question.\"}) { picture { id url width height altText byteSize } errors { code path message } } }";
const UPLOAD_FILE: &str = "mutation($file: Upload!) { uploadPicture(input: {file: $file, altText: \"A cell\",
    reason: \"For a question.\"}) { picture { id url } errors { code path } } }";

/// Different pixels, so that nothing is empty.
fn picture(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8]);
    RgbImage::from_fn(width, height, pixel).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("a picture");
    bytes.into_inner()
}

async fn upload(staff: &Actor, bytes: &[u8]) -> Value {
    let content = STANDARD.encode(bytes);
    staff.ask(UPLOAD, json!({"content": content})).await["uploadPicture"].take()
}

async fn get(app: &TestApp, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    (parts.status, parts.headers, body.to_vec())
}

/// The URL of a picture that was taken.
async fn taken(staff: &Actor, bytes: &[u8]) -> String {
    let uploaded = upload(staff, bytes).await;
    let url = uploaded["picture"]["url"].as_str();
    url.unwrap_or_else(|| panic!("{uploaded}")).to_owned()
}

/// All files of the media store.
fn files(app: &TestApp) -> Vec<std::path::PathBuf> {
    let mut next = vec![app.folder().join("media")];
    let mut files = Vec::new();
    while let Some(folder) = next.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => next.push(path),
                path => files.push(path),
            }
        }
    }
    files
}

/// The checksum of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    let step =
        |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)));
    !bytes.iter().fold(!0, step)
}

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes(), &body[..], &crc(&body).to_be_bytes()].concat()
}

const SCRIPT: &[u8] = b"<html><script>alert(1)</script></html>";

on_both_databases! {
    async fn a_picture_of_each_format_is_taken_and_served_for_ever(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        for (format, extension, media_type) in [
            (ImageFormat::Png, "png", "image/png"),
            (ImageFormat::Jpeg, "jpg", "image/jpeg"),
            (ImageFormat::WebP, "webp", "image/webp"),
            (ImageFormat::Gif, "gif", "image/gif"),
        ] {
            let uploaded = upload(&editor, &encoded(&picture(30, 20), format)).await;
            assert_eq!(uploaded["errors"], json!([]), "{extension}");
            let shown = &uploaded["picture"];
            assert_eq!((&shown["width"], &shown["height"], &shown["altText"]), (&json!(30), &json!(20), &json!("A cell")));
            let url = shown["url"].as_str().expect("a URL");
            assert!(url.starts_with("/media/") && url.ends_with(&format!(".{extension}")), "{url}");
            let (status, headers, body) = get(&app, url).await;
            assert_eq!(status, StatusCode::OK);
            for (name, value) in [
                ("content-type", media_type),
                ("cache-control", "public, max-age=31536000, immutable"),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "default-src 'none'; sandbox"),
            ] {
                assert_eq!(headers[name], value, "{extension}");
            }
            assert_eq!(body.len(), shown["byteSize"].as_u64().expect("a size") as usize);
            let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&body));
            assert_eq!(url, format!("/media/{hash}.{extension}"));
            let again = image::load_from_memory_with_format(&body, format).expect("a picture");
            assert_eq!((again.width(), again.height()), (30, 20));
            // By no other name.
            let other = if extension == "png" { "gif" } else { "png" };
            assert_eq!(get(&app, &format!("/media/{hash}.{other}")).await.0, StatusCode::NOT_FOUND);
        }
        assert_eq!(files(&app).len(), 4);
        // Those that were not altered are lossless.
        let png = encoded(&picture(30, 20), ImageFormat::Png);
        let (.., body) = get(&app, &taken(&editor, &png).await).await;
        assert_eq!(image::load_from_memory(&body).expect("a picture").to_rgb8(), picture(30, 20).to_rgb8());
        let list = "{ pictures(first: 2) { totalCount nodes { id altText } } }";
        assert_eq!(editor.ask(list, json!({})).await["pictures"]["totalCount"], 5);
    }

    async fn the_same_picture_twice_is_one_file(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let png = encoded(&picture(16, 16), ImageFormat::Png);
        let first = upload(&editor, &png).await["picture"].take();
        // Also if it was saved by another program.
        let end = png.len() - 12;
        let noted = [&png[..end], &chunk(b"tEXt", b"Comment\0by hand"), &png[end..]].concat();
        let second = upload(&editor, &noted).await["picture"].take();
        assert_eq!(first["url"], second["url"]);
        assert_ne!(first["id"], second["id"], "each has an alternative text of its own");
        let at_once = futures_util::future::join_all((0..4).map(|_| taken(&editor, &png))).await;
        assert!(at_once.iter().all(|url| first["url"] == url.as_str()));
        assert_eq!((files(&app).len(), app.count("SELECT 1 FROM pictures").await), (1, 6));
        let log = "SELECT 1 FROM audit_entries WHERE action = 'PICTURE_UPLOADED' AND reason = 'For a question.'";
        assert_eq!(app.count(log).await, 6);
    }

    async fn what_is_no_pixel_is_not_kept(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let png = encoded(&picture(9, 9), ImageFormat::Png);
        let gif = encoded(&picture(9, 9), ImageFormat::Gif);
        let jpeg = encoded(&picture(9, 9), ImageFormat::Jpeg);
        let mut webp = encoded(&picture(9, 9), ImageFormat::WebP);
        webp.extend(SCRIPT);
        let end = png.len() - 12;
        let comment = [&[0xFF, 0xFE][..], &(SCRIPT.len() as u16 + 2).to_be_bytes(), SCRIPT].concat();
        let zip = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        for (what, bytes) in [
            ("PNG with a page behind it", [&png[..], SCRIPT].concat()),
            ("PNG with a page in a text", [&png[..end], &chunk(b"tEXt", &[b"Comment\0", SCRIPT].concat()), &png[end..]].concat()),
            ("PNG with an archive behind it", [&png[..], zip].concat()),
            ("GIF with a page behind it", [&gif[..], SCRIPT].concat()),
            ("JPEG with a page in a comment", [&jpeg[..2], &comment, &jpeg[2..]].concat()),
            ("JPEG with a page behind it", [&jpeg[..], SCRIPT].concat()),
            ("WebP with a page behind it", webp),
        ] {
            let uploaded = upload(&editor, &bytes).await;
            let Some(url) = uploaded["picture"]["url"].as_str() else {
                // Refused is as good.
                assert_eq!(uploaded["errors"][0]["path"], json!(["input", "file"]), "{what}");
                continue;
            };
            let (.., body) = get(&app, url).await;
            for bad in [&b"script"[..], b"PK\x05\x06"] {
                assert!(!body.windows(bad.len()).any(|window| window == bad), "{what}");
            }
        }
        assert!(files(&app).len() >= 3);
    }

    async fn what_is_no_picture_is_refused(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let png = encoded(&picture(64, 64), ImageFormat::Png);
        let mut wide = png.clone();
        // The header says so, and nothing of its size is made.
        wide[16..20].copy_from_slice(&4097u32.to_be_bytes());
        let sum = crc(&wide[12..29]).to_be_bytes();
        wide[29..33].copy_from_slice(&sum);
        let mut huge = wide.clone();
        huge[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
        let sum = crc(&huge[12..29]).to_be_bytes();
        huge[29..33].copy_from_slice(&sum);
        let large = vec![0; 2 * 1024 * 1024 + 1];
        for (what, bytes, words) in [
            ("nothing", &b""[..], "1 to 2097152 bytes"),
            ("SVG", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>", "SVG"),
            ("a page", SCRIPT, "PNG, JPEG"),
            ("BMP", b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "PNG, JPEG"),
            ("a PDF", b"%PDF-1.7\n", "PNG, JPEG"),
            ("a page that begins like a GIF", b"GIF89a=1;alert(1)//", "Save it"),
            ("half a PNG", &png[..png.len() / 2], "damaged"),
            ("a wide one", &wide, "4096 by 4096"),
            ("a huge one", &huge, "Save it"),
        ] {
            let uploaded = upload(&editor, bytes).await;
            assert_eq!(uploaded["picture"], Value::Null, "{what}");
            let error = &uploaded["errors"][0];
            assert_eq!((&error["code"], &error["path"]), (&json!("BAD_USER_INPUT"), &json!(["input", "file"])), "{what}");
            assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{what}: {error}");
        }
        let file = |name: &str, bytes: &[u8]| {
            let operations = json!({"query": UPLOAD_FILE, "variables": {"file": null}}).to_string();
            let mut body = Vec::new();
            for (field, content) in [("operations", operations.as_bytes()), ("map", br#"{"0": ["variables.file"]}"#)] {
                body.extend(format!("--edge\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n").as_bytes());
                body.extend(content);
                body.extend(b"\r\n");
            }
            body.extend(format!("--edge\r\ncontent-disposition: form-data; name=\"0\"; filename=\"{name}\"\r\n\r\n").as_bytes());
            body.extend(bytes);
            body.extend(b"\r\n--edge--\r\n");
            body
        };
        let send = async |body: Vec<u8>| {
            let request = Request::post("/graphql").header("content-type", "multipart/form-data; boundary=edge")
                .header("authorization", format!("Bearer {}", editor.token())).body(Body::from(body)).expect("a request");
            let response = app.router().oneshot(request).await.expect("a response");
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            body["data"]["uploadPicture"].clone()
        };
        let refused = send(file("large.png", &large)).await;
        assert_eq!(refused["errors"], json!([{"code": "BAD_USER_INPUT", "path": ["input", "file"]}]));
        assert!(files(&app).is_empty());
        // The name of a file decides nothing, not what it is and not where it goes.
        let uploaded = send(file("../../../secret.svg", &png)).await;
        assert!(uploaded["picture"]["url"].as_str().is_some_and(|url| url.ends_with(".png")), "{uploaded}");
        assert_eq!(files(&app).len(), 1);
        let (_, body) = ada.send(UPLOAD, json!({"content": STANDARD.encode(&png)})).await;
        assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }

    async fn no_path_leads_out_of_the_store(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let url = taken(&editor, &encoded(&picture(8, 8), ImageFormat::Png)).await;
        std::fs::write(app.folder().join("secret"), "hush").expect("a file");
        let name = url.trim_start_matches("/media/");
        for path in [
            "/media/".to_owned(),
            "/media/../secret".to_owned(),
            "/media/..%2Fsecret".to_owned(),
            "/media/..%2f..%2fsecret".to_owned(),
            "/media/%2e%2e/secret".to_owned(),
            "/media/....//secret".to_owned(),
            "/media/..%5Csecret".to_owned(),
            "/media/%2Fetc%2Fpasswd".to_owned(),
            "/media/secret%00.png".to_owned(),
            format!("/media/{}/{name}", &name[..2]),
            format!("/media/{}%2F{name}", &name[..2]),
            format!("/media/{}", name.to_uppercase()),
            format!("/media/{name}%00"),
            format!("/media/{}.png", "0".repeat(64)),
        ] {
            let (status, _, body) = get(&app, &path).await;
            assert!(status == StatusCode::NOT_FOUND, "{path}: {status}");
            assert!(!String::from_utf8_lossy(&body).contains("hush"), "{path}");
        }
        // A file that somebody has changed is not what its name says, and not given out.
        let file = files(&app).remove(0);
        std::fs::write(&file, SCRIPT).expect("a file");
        assert_eq!(get(&app, &url).await.0, StatusCode::INTERNAL_SERVER_ERROR);
        // The same upload mends it.
        taken(&editor, &encoded(&picture(8, 8), ImageFormat::Png)).await;
        assert_eq!(get(&app, &url).await.0, StatusCode::OK);
    }

    async fn a_picture_is_seen_with_its_question_and_costs_no_statement_more(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let uploaded = upload(&editor, &encoded(&picture(12, 10), ImageFormat::Png)).await["picture"].take();
        let id = uploaded["id"].as_str().expect("an id").to_owned();
        let with_picture = NewQuestion {
            picture: Some(PictureId::decode(&id).unwrap_or_else(|_| panic!("a picture"))),
            ..question(Kind::SingleChoice, &["a", "b"], Right::one(0))
        };
        let without = question(Kind::TrueFalse, &["true", "false"], Right::one(0));
        let quiz = quiz(&app, &[with_picture, without], |_| {}).await;
        let published = "query($id: ID!) { quiz(id: $id) { questions { picture { id url altText } } } }";
        for expected in [3, 0] {
            let (statements, data) = app.statements(editor.ask(published, json!({"id": quiz.encode()}))).await;
            assert_eq!(statements, expected);
            let questions = data["quiz"]["questions"].clone();
            assert_eq!(questions[0]["picture"], json!({"id": id, "url": uploaded["url"], "altText": "A cell"}));
            assert_eq!(questions[1]["picture"], Value::Null);
        }
        let node = "query($id: ID!) { node(id: $id) { ... on Picture { url } } }";
        let invented = PictureId(uuid::Uuid::now_v7()).encode();
        let hidden = ada.send(node, json!({"id": id})).await;
        assert_eq!(hidden, ada.send(node, json!({"id": invented})).await, "she has not seen the question yet");
        let paper = ada.start(quiz).await;
        assert_eq!(ada.ask(node, json!({"id": id})).await["node"]["url"], uploaded["url"]);
        let own = "query($id: ID!) { attempt(id: $id) { questions { picture { width height } } } }";
        let own = ada.ask(own, json!({"id": paper.attempt})).await;
        assert_eq!(own["attempt"]["questions"][0]["picture"], json!({"width": 12, "height": 10}));
        assert_eq!(bob.send(node, json!({"id": id})).await, hidden);

        // Deleted, it can't be chosen any more; who has it keeps it.
        let unused = upload(&editor, &encoded(&picture(5, 5), ImageFormat::Gif)).await["picture"]["id"].take();
        let delete = "mutation($id: ID!) { deletePicture(input: {pictureId: $id, reason: \"Not needed.\"}) { errors { code } } }";
        for id in [&json!(id), &unused] {
            assert_eq!(editor.ask(delete, json!({"id": id})).await["deletePicture"]["errors"], json!([]));
            let again = editor.send(delete, json!({"id": id})).await.1;
            assert_eq!(again["errors"][0]["extensions"]["code"], "NOT_FOUND");
        }
        let list = "{ pictures { totalCount nodes { id } } }";
        assert_eq!(editor.ask(list, json!({})).await["pictures"], json!({"totalCount": 0, "nodes": []}));
        assert_eq!(editor.send(node, json!({"id": unused})).await.1, editor.send(node, json!({"id": invented})).await.1);
        let again = app.restarted_with(|_| {}).await;
        for actor in [&editor, &ada] {
            assert_eq!(again.at(actor).ask(node, json!({"id": id})).await["node"]["url"], uploaded["url"]);
        }
        let own = "query($id: ID!) { attempt(id: $id) { questions { picture { id } } } }";
        let own = again.at(&ada).ask(own, json!({"id": paper.attempt})).await;
        assert_eq!(own["attempt"]["questions"][0]["picture"]["id"], id);
        assert_eq!(get(&again, uploaded["url"].as_str().expect("a URL")).await.0, StatusCode::OK);
    }
}
