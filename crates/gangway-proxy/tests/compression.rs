//! Responses are compressed, over every way from a client to an application.

mod common;

use std::time::Duration;

use common::ways::Ways;
use common::{Plane, app, resident_bytes, route};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliDecoder, DecodeV2, GzipDecoder, ZstdDecoder};
use gangway_model::{Compression, ContentCoding, Middleware};
use gangway_testkit::sum::Pattern;
use gangway_testkit::wait::eventually;
use http::HeaderValue;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// What can be decoded of bytes that need not be whole.
fn decoded(coding: &str, encoded: &[u8]) -> Vec<u8> {
    let mut decoder: Box<dyn DecodeV2> = match coding {
        "zstd" => Box::new(ZstdDecoder::new()),
        "br" => Box::new(BrotliDecoder::new()),
        "gzip" => Box::new(GzipDecoder::new()),
        _ => panic!("no coding of ours: {coding:?}"),
    };
    let (mut input, mut all, mut piece) = (PartialBuffer::new(encoded), Vec::new(), [0; 4096]);
    loop {
        let (before, mut output) = (input.written_len(), WriteBuffer::new_initialized(&mut piece));
        let has_ended = decoder.decode(&mut input, &mut output).unwrap_or(true);
        let written = output.written_len();
        all.extend_from_slice(&piece[..written]);
        if has_ended || written == 0 && input.written_len() == before {
            return all;
        }
    }
}

async fn compressing(codings: &[ContentCoding]) -> Ways {
    Ways::to("pages", |route| route.middlewares = vec![Middleware::Compression(Compression::by(codings))]).await
}

#[tokio::test]
async fn bodies_of_any_length_come_as_they_were_by_every_coding() {
    let ways = compressing(&ContentCoding::ALL).await;
    for way in ways.all() {
        let mut connection = way.client.connect(way.host).await.expect("connected");
        for coding in ContentCoding::ALL.map(ContentCoding::token) {
            for (len, query) in [(1024, ""), (1_000_000, ""), (1_000_000, "&chunked"), (0, "&chunked")] {
                let path = format!("/bytes/{len}?type=text/plain{query}");
                let accepts = [("accept-encoding", coding)];
                let answer = connection.ask("GET", &path, &accepts, "").await.expect("answered");
                let about = format!("{coding} {path} {}", way.name);
                assert_eq!(answer.header("content-encoding"), coding, "{about}");
                assert_eq!(answer.header("vary"), "Accept-Encoding", "{about}");
                assert_eq!(answer.header("content-length"), "", "{about}");
                assert!(decoded(coding, &answer.body) == Pattern::bytes(len), "{about}");

                let head = connection.ask("HEAD", &path, &accepts, "").await.expect("answered");
                for name in ["content-encoding", "vary", "content-length", "content-type"] {
                    assert_eq!(head.header(name), answer.header(name), "{name} {about}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_comes_is_passed_on_at_once_and_trailers_follow() {
    let ways = compressing(&ContentCoding::ALL).await;
    for way in ways.all() {
        for coding in ContentCoding::ALL.map(ContentCoding::token) {
            let accepts = [("accept-encoding", coding)];
            // The second piece never comes.
            let mut connection = way.client.connect(way.host).await.expect("connected");
            let path = "/stream?type=text/plain&every=3600000";
            let mut response = connection.begin("GET", path, &accepts, "").await.expect("answered");
            let mut encoded = Vec::new();
            while decoded(coding, &encoded) != b"data: 0\n\n" {
                let frame = timeout(Duration::from_secs(20), response.body_mut().frame()).await;
                let frame = frame.expect("bytes are held back").expect("more comes").expect("whole");
                encoded.extend_from_slice(&frame.into_data().expect("data"));
            }

            let mut connection = way.client.connect(way.host).await.expect("connected");
            let text = "what was sent comes back\n".repeat(1000);
            let fields = [accepts[0], ("te", "trailers")];
            let answer = connection.ask("POST", "/trailers", &fields, text.clone()).await.expect("answered");
            let about = format!("{coding} {}", way.name);
            assert_eq!(decoded(coding, &answer.body), text.as_bytes(), "{about}");
            assert!(answer.body.len() < text.len() / 10, "{about}: {}", answer.body.len());
            let trailers = answer.trailers.expect("trailers");
            assert_eq!(trailers.get("grpc-status").map_or(&b""[..], HeaderValue::as_bytes), b"0", "{about}");
        }
    }
}

#[tokio::test]
async fn where_memory_is_not_plentiful_nothing_is_compressed() {
    let (address, _) = app("pages").await;
    // So much that other tests of this process make no difference.
    let filling = vec![1_u8; 256 << 20];
    // More than half of it is in use, and too little for connections to be closed.
    let mut plane = Plane::start_with(|settings| settings.limits.memory = resident_bytes() / 2 * 3);
    let mut compressed = route("pages.localhost", address);
    compressed.middlewares = vec![Middleware::Compression(Compression::by(ContentCoding::ALL))];
    plane.serve(vec![compressed]).await;
    let is_measured = async || (plane.metric("gangway_memory_bytes") > 0.0).then_some(());
    eventually("memory is measured", Duration::from_secs(30), is_measured).await;
    let mut connection = plane.http().connect("pages.localhost").await.expect("connected");
    let accepts = [("accept-encoding", "gzip")];
    let answer = connection.ask("GET", "/bytes/5000?type=text/plain", &accepts, "").await.expect("answered");
    assert_eq!((answer.header("content-encoding"), answer.body.len()), ("", 5000));
    assert!(filling.iter().all(|byte| *byte == 1));
}

#[tokio::test]
async fn what_clients_do_not_take_and_what_is_not_worth_it_is_sent_as_it_is() {
    let ways = compressing(&[ContentCoding::Gzip]).await;
    for way in ways.all() {
        let mut connection = way.client.connect(way.host).await.expect("connected");
        for (path, accepted, vary) in [
            ("/bytes/5000?type=text/plain", "br, zstd", "Accept-Encoding"),
            ("/bytes/5000?type=text/plain", "gzip;q=0", "Accept-Encoding"),
            ("/bytes/1023?type=text/plain", "gzip", ""),
            ("/bytes/5000?type=image/png", "gzip", ""),
            ("/bytes/5000", "gzip", ""),
        ] {
            let fields = [("accept-encoding", accepted)];
            let answer = connection.ask("GET", path, &fields, "").await.expect("answered");
            let about = format!("{path} {accepted} {}", way.name);
            assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", vary), "{about}");
            assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{about}");
        }
        let fields = [("accept-encoding", "gzip"), ("content-type", "application/grpc"), ("te", "trailers")];
        let call = connection.ask("POST", "/call", &fields, "x".repeat(5000)).await.expect("answered");
        assert_eq!((call.header("content-encoding"), call.body.len()), ("", 5000), "{}", way.name);
    }
}
