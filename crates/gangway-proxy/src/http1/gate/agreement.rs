//! That the parser behind the gate reads each request as the gate did: the same head, the same body, the
//! same end. Whatever passes the gate, Pingora never refuses on its own, where nobody would hear of it.

use pingora::protocols::http::v1::server::HttpSession;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::tests::part;
use super::*;

/// The bytes of each request that the gate released to its end, every answer being out at once.
fn requests(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut gate = Gate::new(&Limits::default());
    let mut requests = Vec::new();
    let Ok(mut passed) = gate.inspect(bytes) else { return requests };
    let mut request = bytes[..passed].to_vec();
    loop {
        let mut space = vec![0; bytes.len() + STAND_IN.len()];
        let mut buf = ReadBuf::new(&mut space);
        passed += gate.take_ready(&mut buf);
        if gate.take_rejection().is_some() || passed == 0 {
            return requests;
        }
        request.extend_from_slice(buf.filled());
        if !matches!(gate.state, GateState::Answering { .. }) {
            return requests;
        }
        requests.push(std::mem::take(&mut request));
        passed = 0;
        if gate.request_finished().is_err() {
            return requests;
        }
    }
}

/// Method, target and body as Pingora reads them.
async fn as_pingora_reads(request: &[u8]) -> Result<(String, Vec<u8>, Vec<u8>), String> {
    let (mut client, server) = tokio::io::duplex(request.len().max(1));
    client.write_all(request).await.map_err(|error| error.to_string())?;
    drop(client);
    let mut session = HttpSession::new(Box::new(server));
    match session.read_request().await {
        Ok(Some(_)) => {}
        Ok(None) => return Err("the end instead of a request".into()),
        Err(error) => return Err(error.to_string()),
    }
    let mut body = Vec::new();
    while let Some(bytes) = session.read_body_bytes().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&bytes);
    }
    let head = session.req_header();
    Ok((head.method.to_string(), head.raw_path().to_vec(), body))
}

/// The same by a plain reading, which needs no care since the gate has seen to it.
fn as_it_is_meant(request: &[u8]) -> (String, Vec<u8>, Vec<u8>) {
    let request = request.strip_prefix(b"\r\n").unwrap_or(request);
    let head_len = memchr::memmem::find(request, b"\r\n\r\n").expect("a whole head") + 4;
    let (head, mut rest) = request.split_at(head_len);
    let mut line = head.split(|byte| *byte == b' ');
    let method = String::from_utf8_lossy(line.next().expect("a method")).into_owned();
    let target = line.next().expect("a target").to_vec();
    if !head.to_ascii_lowercase().windows(20).any(|window| window == b"\r\ntransfer-encoding:") {
        return (method, target, rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line_len = memchr::memmem::find(rest, b"\r\n").expect("a size");
        let digits = rest[..line_len].split(|byte| *byte == b';').next().expect("digits");
        let digits = std::str::from_utf8(digits).expect("ASCII");
        let size = usize::from_str_radix(digits, 16).expect("a number");
        rest = &rest[line_len + 2..];
        if size == 0 {
            return (method, target, body);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// How many requests both read alike.
fn check(bytes: &[u8]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let requests = requests(bytes);
    for request in &requests {
        let read = runtime.block_on(as_pingora_reads(request));
        let meant = as_it_is_meant(request);
        assert_eq!(read.as_ref(), Ok(&meant), "{:?}", request.escape_ascii().to_string());
    }
    requests.len()
}

#[test]
fn what_is_in_order_is_in_order_for_pingora() {
    let requests = "\r\nGET /a`b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(check(requests.as_bytes()), 0, "Pingora cannot carry this target");
    for (requests, count) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2?x=`{}|^\\[]' HTTP/1.0\r\nhost:a\r\n\r\n", 2),
        ("GET HTTP://a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n000\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\tb\r\nEmpty:\r\nY:\t\r\n\r\n", 1),
        ("M!#$%&'*+-.^_`|~ /x HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    ] {
        assert_eq!(check(requests.as_bytes()), count, "{requests:?}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Field: y\r\n".repeat(99));
    assert_eq!(check(many.as_bytes()), 1);
    let chunks = "1;0123456789\r\nx\r\n".repeat(5000);
    let body = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    assert_eq!(check(body.as_bytes()), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn pingora_reads_what_the_gate_read(parts in prop::collection::vec(part(), 1..12)) {
        check(&parts.concat());
    }

    #[test]
    fn pingora_carries_every_target_and_field(
        target in "(/|http://a)[!-~]{0,12}",
        host in "a|A\\.b:[0-9]{0,5}|\\[::1\\]|[a-z0-9._-]{1,8}",
        name in "[!-~]{1,6}",
        value in "[\t -~\u{80}-\u{ff}]{0,12}",
        options in "(close|keep-alive|[!-~]{1,4})(, ?[!-~]{0,4}){0,3}",
        len in "[0-9]{1,3}|[0-9]{17,20}",
    ) {
        check(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{name}: {value}\r\nConnection: {options}\r\n\r\n").as_bytes());
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        check(&[head.as_bytes(), &[b'x'; 1000]].concat());
    }
}
