//! Frames of HTTP/2 that are mostly in order, from any bytes: what a fuzzer changes is then their content, and seldom
//! their lengths.

const HEADERS: u8 = 1;

const METHODS: &[&str] = &["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "CONNECT", "TRACE"];

/// Parts of a path: the route, how the endpoint answers, and a number for it.
const ROUTES: &[&str] = &["", "/h2c", "/either", "/bounded", "/gone", "/bounded/%2e%2e", "//", "/h2c/../x"];
const ANSWERS: &[&str] = &[
    "/sized",
    "/framed",
    "/trailers",
    "/until-close",
    "/cut",
    "/early",
    "/hint",
    "/last",
    "/old",
    "/mute",
    "/late",
    "/never",
    "/switch",
    "/odd",
    "/challenge",
    "/echo",
];
const NUMBERS: &[&str] = &["/0", "/1", "/100", "/65000", "", "?a=b"];

const FIELDS: &[(&str, &str)] = &[
    ("content-length", "5"),
    ("content-length", "0"),
    ("expect", "100-continue"),
    ("te", "trailers"),
    ("cookie", "a=b"),
    ("host", "a"),
    ("host", "b"),
    ("authorization", "NTLM x"),
    ("x-forwarded-for", "192.0.2.99"),
    ("accept", "text/event-stream"),
    ("x_forwarded_for", "1"),
    ("content-type", "application/grpc"),
    ("connection", "close"),
    ("transfer-encoding", "chunked"),
];

/// Frames that the bytes describe. Each begins with three bytes: what it is, its stream, and how it ends.
pub(crate) fn frames_from(mut input: &[u8]) -> Vec<u8> {
    let mut frames = frame(4, 0, 0, b"");
    while let Some(([what, stream, flags], rest)) = input.split_first_chunk() {
        // Streams of clients have odd numbers; a few frames go to others.
        let stream = u32::from(stream % 16) * 2 + u32::from(*stream < 240);
        let (payload, rest) = take(rest, what / 16);
        frames.extend(match what % 16 {
            kind @ 0..=9 => frame(kind, *flags, stream, payload),
            // The head of a request, mostly whole, and with its end at times.
            _ => frame(HEADERS, 4 | flags & 1, stream, &request(*flags, payload)),
        });
        input = rest;
    }
    frames
}

/// As many bytes as are asked for and there: many where the number is great.
fn take(input: &[u8], size: u8) -> (&[u8], &[u8]) {
    input.split_at(usize::from(if size > 12 { size * 10 } else { size }).min(input.len()))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field block without compression: the parts that the bytes choose, in the order of the bytes.
fn request(choice: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter().copied();
    let mut next = || usize::from(bytes.next().unwrap_or_default());
    let path = [ROUTES[next() % ROUTES.len()], ANSWERS[next() % ANSWERS.len()], NUMBERS[next() % NUMBERS.len()]];
    let mut block = Vec::new();
    push(&mut block, ":method", METHODS[usize::from(choice / 2) % METHODS.len()]);
    push(&mut block, ":scheme", "https");
    push(&mut block, ":path", &path.concat());
    push(&mut block, ":authority", "a");
    for chosen in bytes {
        let (name, value) = FIELDS[usize::from(chosen) % FIELDS.len()];
        push(&mut block, name, value);
    }
    block
}

/// A literal without a place in the table and without Huffman coding.
fn push(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).expect("short"));
        block.extend(text.bytes());
    }
}

/// A request with a body.
#[cfg(test)]
pub(super) fn post(path: &str, body: &str) -> Vec<u8> {
    [frame(4, 0, 0, b""), frame(HEADERS, 4, 1, &post_head(path)), frame(0, 1, 1, body.as_bytes())].concat()
}

/// A request whose client waits for a 100.
#[cfg(test)]
pub(super) fn expecting(path: &str) -> Vec<u8> {
    let mut block = post_head(path);
    push(&mut block, "expect", "100-continue");
    [frame(4, 0, 0, b""), frame(HEADERS, 4, 1, &block)].concat()
}

#[cfg(test)]
fn post_head(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "a")] {
        push(&mut block, name, value);
    }
    block
}
