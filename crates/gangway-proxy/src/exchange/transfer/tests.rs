//! Relays between a client that is played and an endpoint at a real socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Write as _;
use std::rc::Rc;
use std::task::Waker;

use gangway_model::{ContentCoding, Scheme};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::advance;

use super::*;
use crate::buffer_pool::WIDE_LEN;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::overload::memory_budget::MemoryBudget;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::connector::ConnectionNeed;
use crate::upstream::samples::{NEED, connector, endpoint};

const HOUR: Duration = Duration::from_secs(3600);

/// What a client does and what it got.
#[derive(Debug, Default)]
struct Played {
    sends: VecDeque<&'static [u8]>,
    /// Whether its sending side ends with that.
    ends: bool,
    status: u16,
    received: Vec<u8>,
    has_whole: bool,
    waker: Option<Waker>,
}

/// A client that takes everything at once.
#[derive(Clone, Default)]
struct Client(Rc<RefCell<Played>>);

impl Client {
    fn end(&self) {
        let mut played = self.0.borrow_mut();
        played.ends = true;
        if let Some(waker) = played.waker.take() {
            waker.wake();
        }
    }

    fn received(&self) -> usize {
        self.0.borrow().received.len()
    }
}

impl Downstream for Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<BodyBytes<'_>>, DownstreamError>> {
        let mut played = self.0.borrow_mut();
        match played.sends.front().copied() {
            Some(piece) => Poll::Ready(Ok(BodyFrame::Data(piece.into()))),
            None if played.ends => Poll::Ready(Ok(BodyFrame::End)),
            None => {
                played.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn consume(&mut self, len: usize) {
        let mut played = self.0.borrow_mut();
        let rest = played.sends.pop_front().expect("it was given").split_at(len).1;
        if !rest.is_empty() {
            played.sends.push_front(rest);
        }
    }

    fn request_trailers(&self) -> Option<&Fields> {
        None
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<DownstreamError> {
        Poll::Pending
    }

    fn may_have_gone(&self) -> bool {
        false
    }

    fn send_informational(&mut self, _head: &ResponseHead) -> Result<(), DownstreamError> {
        Ok(())
    }

    fn read_width(&self) -> ReadWidth {
        ReadWidth::Wide
    }

    fn start_response(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        self.0.borrow_mut().status = head.status.as_u16();
        Ok(())
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>> {
        self.0.borrow_mut().received.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, _trailers: Option<&Fields>) -> Poll<Result<(), DownstreamError>> {
        self.0.borrow_mut().has_whole = true;
        Poll::Ready(Ok(()))
    }

    fn cut(&mut self) {}

    fn close_after_response(&mut self) {}

    fn body_bytes_received(&self) -> u64 {
        0
    }

    fn body_bytes_sent(&self) -> u64 {
        0
    }
}

/// Rules of a route that waits for an hour.
#[derive(Clone, Default)]
struct Rules {
    coding: Option<ContentCoding>,
    has_left: Rc<RefCell<bool>>,
}

impl TransferRules for Rules {
    fn on_response(&mut self, _head: &mut ResponseHead) -> Result<Option<BodyEncoder>, TransferError> {
        Ok(self.coding.map(|coding| BodyEncoder::new(coding, &MemoryBudget::new(usize::MAX))))
    }

    fn on_response_data(&mut self, _data: &[u8]) -> Result<(), TransferError> {
        Ok(())
    }

    fn on_response_end(&mut self, _has_trailers: impl FnOnce() -> bool) {}

    fn on_request_data(&mut self, _len: usize) -> Result<(), TransferError> {
        Ok(())
    }

    fn expects_continue(&self) -> bool {
        false
    }

    fn keeps_response_fields(&self) -> bool {
        false
    }

    fn is_drained(&self) -> bool {
        *self.has_left.borrow()
    }

    fn response_due(&self) -> Instant {
        Instant::now() + HOUR
    }

    fn idle_time(&self) -> Duration {
        HOUR
    }
}

/// A connection to an endpoint that has the head of a request, and the endpoint's end of it.
async fn connected(body: BodyLength, is_upgrade: bool) -> (UpstreamStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = endpoint(Scheme::Http, listener.local_addr().expect("bound"));
    let (connector, need) = (connector(), ConnectionNeed { is_upgrade, ..NEED });
    let (stream, accepted) = tokio::join!(connector.connect(&endpoint, &need), listener.accept());
    let (mut stream, (mut tcp, _)) = (stream.expect("it listens"), accepted.expect("it came"));
    let mut fields = Fields::default();
    fields.push(b"Host", b"a");
    if is_upgrade {
        fields.push(b"Connection", b"upgrade");
        fields.push(b"Upgrade", b"echo");
    }
    let method = &Method::GET;
    let request = UpstreamRequest { method, target: "/", fields: &fields, body, is_upgrade, is_last: false };
    stream.start_request(&request).expect("it can be said");
    poll_fn(|cx| stream.poll_flush(cx)).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(tcp.read_buf(&mut head).await.is_ok_and(|len| len > 0), "a head");
    }
    (stream, tcp)
}

/// What a relay borrows.
#[derive(Default)]
struct Kept {
    response: ResponseHead,
    replay: Replay,
    timer: Timer,
}

impl Kept {
    fn relay<'t>(
        &'t mut self,
        client: &'t mut Client,
        endpoint: &'t mut UpstreamStream,
        rules: &Rules,
        has_body: bool,
    ) -> Transfer<'t, Client, Rules> {
        let Self { response, replay, timer } = self;
        Transfer::new(TransferParts { client, endpoint, response, replay, timer, rules: rules.clone() }, has_body)
    }
}

/// Relays until this holds. No time passes on a paused clock, since something always remains to be done.
async fn relay_until(transfer: &mut Transfer<'_, Client, Rules>, is_so: impl Fn() -> bool) {
    while !is_so() {
        let poll = poll_fn(|cx| Poll::Ready(transfer.poll(cx))).await;
        assert!(poll.is_pending() || is_so(), "{poll:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_endpoint_may_be_silent_for_a_minute_after_its_client_has_ended_a_switched_protocol() {
    let (mut stream, mut tcp) = connected(BodyLength::Empty, true).await;
    tcp.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi")
        .await
        .expect("sent");
    let (client, mut kept) = (Client::default(), Kept::default());
    let (mut end, rules) = (client.clone(), Rules::default());
    let mut transfer = kept.relay(&mut end, &mut stream, &rules, false);
    relay_until(&mut transfer, || client.received() == 2).await;
    assert_eq!(client.0.borrow().status, 101);
    tokio::time::pause();
    // While both sides may send, only the idle time counts.
    advance(Duration::from_secs(600)).await;
    assert!(poll_fn(|cx| Poll::Ready(transfer.poll(cx))).await.is_pending());
    let ended = Instant::now();
    client.end();
    let error = poll_fn(|cx| transfer.poll(cx)).await.expect_err("it is given up");
    assert!(matches!(error, TransferError::Upstream(error) if error.kind == UpstreamErrorKind::Timeout));
    assert_eq!(ended.elapsed().as_secs(), HALF_CLOSED_TIME.as_secs());
    assert!(!transfer.is_request_sent(), "the connection is of no further use");
}

#[tokio::test]
async fn of_two_failures_the_first_is_reported() {
    let (mut stream, tcp) = connected(BodyLength::Sized(10), false).await;
    let (client, mut kept, rules) = (Client::default(), Kept::default(), Rules::default());
    client.0.borrow_mut().sends.push_back(b"half ");
    // Its time is over with the first bytes, and then it closes.
    *rules.has_left.borrow_mut() = true;
    drop(tcp);
    let mut end = client.clone();
    let mut transfer = kept.relay(&mut end, &mut stream, &rules, true);
    let error = poll_fn(|cx| transfer.poll(cx)).await.expect_err("there is no response");
    assert!(
        matches!(&error, TransferError::Upstream(error) if error.kind == UpstreamErrorKind::Drained),
        "{error:?}: the close follows from it"
    );
}

#[tokio::test]
async fn an_answer_counts_although_the_endpoint_takes_no_more_of_the_request() {
    let (mut stream, mut tcp) = connected(BodyLength::Sized(10), false).await;
    tcp.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n").await.expect("sent");
    let (client, mut kept, rules) = (Client::default(), Kept::default(), Rules::default());
    client.0.borrow_mut().sends.push_back(b"half ");
    *rules.has_left.borrow_mut() = true;
    let mut end = client.clone();
    let mut transfer = kept.relay(&mut end, &mut stream, &rules, true);
    poll_fn(|cx| transfer.poll(cx)).await.expect("it has answered");
    assert_eq!(client.0.borrow().status, 413);
    assert!(!transfer.is_request_sent(), "the rest of the body would be taken for the next request");
}

/// Bytes that do not become smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 1_u32;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

#[tokio::test]
async fn other_tasks_have_their_turn_in_the_middle_of_a_long_response() {
    // Besides, what is at hand at once; and what the encoder has held back.
    for (coding, len, most) in [
        (None, 16 * RELAYED_IN_A_ROW_MAX, RELAYED_IN_A_ROW_MAX + WIDE_LEN),
        (Some(ContentCoding::Gzip), 64 * ENCODED_IN_A_ROW_MAX, ENCODED_IN_A_ROW_MAX * 2),
    ] {
        let (mut stream, tcp) = connected(BodyLength::Empty, false).await;
        let (client, mut kept) = (Client::default(), Kept::default());
        let (mut end, rules) = (client.clone(), Rules { coding, ..Rules::default() });
        let mut transfer = kept.relay(&mut end, &mut stream, &rules, false);
        // On a thread of its own, so that there is always more.
        let mut tcp = tcp.into_std().expect("a socket");
        let answering = std::thread::spawn(move || {
            tcp.set_nonblocking(false).expect("a socket");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
            tcp.write_all(head.as_bytes()).expect("open");
            tcp.write_all(&noise(len)).expect("open");
        });
        poll_fn(|cx| {
            let before = client.received();
            let outcome = transfer.poll(cx);
            let relayed = client.received() - before;
            assert!(relayed < most, "{relayed} bytes in a row, {coding:?}");
            outcome
        })
        .await
        .expect("both ends are in order");
        answering.join().expect("no panic");
        assert!(client.0.borrow().has_whole && client.received() >= len, "{}", client.received());
    }
}

#[tokio::test]
async fn a_body_that_is_encoded_ends_with_the_time_of_its_endpoint() {
    let (mut stream, mut tcp) = connected(BodyLength::Empty, false).await;
    let (client, mut kept) = (Client::default(), Kept::default());
    let (mut end, rules) = (client.clone(), Rules { coding: Some(ContentCoding::Zstd), ..Rules::default() });
    let mut transfer = kept.relay(&mut end, &mut stream, &rules, false);
    tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi").await.expect("sent");
    relay_until(&mut transfer, || client.received() > 0).await;
    *rules.has_left.borrow_mut() = true;
    tcp.write_all(b"ho").await.expect("sent");
    let error = poll_fn(|cx| transfer.poll(cx)).await.expect_err("its time is over");
    assert!(matches!(&error, TransferError::Upstream(error) if error.kind == UpstreamErrorKind::Drained), "{error:?}");
}

#[tokio::test]
async fn a_body_may_last_for_longer_than_its_pauses_encoded_or_not() {
    for coding in [None, Some(ContentCoding::Brotli)] {
        let (mut stream, mut tcp) = connected(BodyLength::Empty, false).await;
        let (client, mut kept) = (Client::default(), Kept::default());
        let (mut end, rules) = (client.clone(), Rules { coding, ..Rules::default() });
        let mut transfer = kept.relay(&mut end, &mut stream, &rules, false);
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbe").await.expect("sent");
        relay_until(&mut transfer, || client.received() > 0).await;
        tokio::time::pause();
        for piece in [b"g", b"i", b"n"] {
            advance(HOUR / 4 * 3).await;
            let before = client.received();
            tcp.write_all(piece).await.expect("sent");
            relay_until(&mut transfer, || client.received() > before).await;
        }
        let begun = Instant::now();
        let error = poll_fn(|cx| transfer.poll(cx)).await.expect_err("nothing more comes");
        assert!(matches!(error, TransferError::Upstream(error) if error.kind == UpstreamErrorKind::Timeout));
        assert_eq!(begun.elapsed().as_secs(), HOUR.as_secs(), "{coding:?}");
        tokio::time::resume();
    }
}
