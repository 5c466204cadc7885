//! Opens TCP connections to an endpoint, by any of the addresses of its name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gangway_model::Address;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::known_addresses::Step;

/// How long one address may be silent before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Turns names into addresses.
#[derive(Clone, Debug, Default)]
pub(crate) enum AddressSource {
    /// The resolver of the system.
    #[default]
    System,
    #[cfg(test)]
    Scripted(tests::Script),
}

/// Connects to an endpoint. The caller limits the time.
pub(crate) async fn dial(resolver: &AddressSource, endpoint: &ActiveEndpoint) -> Result<TcpStream, UpstreamError> {
    let tcp = match &endpoint.key.address {
        Address::Ip(ip, port) => {
            connect_to(SocketAddr::new(*ip, *port)).await.map_err(|error| connect_error(&error))?
        }
        Address::Name(name, port) => {
            let known = &endpoint.state.addresses;
            let addresses = addresses(resolver, &endpoint.state, name, *port).await?;
            match connect_to_any(&addresses).await {
                Ok((tcp, address)) => {
                    known.worked(address);
                    tcp
                }
                Err(error) => {
                    // Perhaps the name stands for others by now.
                    known.expire();
                    return Err(error);
                }
            }
        }
    };
    Ok(tcp)
}

/// The addresses of a name, in the order in which they are to be tried.
async fn addresses(
    resolver: &AddressSource,
    state: &Arc<EndpointState>,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, UpstreamError> {
    loop {
        match state.addresses.next_step() {
            Step::Use(addresses) => return Ok(addresses),
            Step::UseAndLookUp(addresses) => {
                look_up(resolver, state, name, port);
                return Ok(addresses);
            }
            Step::LookUp => look_up(resolver, state, name, port),
            Step::Wait => {}
            Step::Fail => {
                let detail = "the name of the upstream cannot be looked up";
                return Err(UpstreamError::new(UpstreamErrorKind::NameUnknown, detail));
            }
        }
        state.addresses.wait_settled().await;
    }
}

/// Looks a name up in a task of its own: the request that begins it may give up earlier.
fn look_up(resolver: &AddressSource, state: &Arc<EndpointState>, name: &str, port: u16) {
    let (resolver, name) = (resolver.clone(), Box::<str>::from(name));
    let mut unsettled = Unsettled(Some(Arc::clone(state)));
    tokio::spawn(async move {
        let found = resolver.resolve(&name, port).await.unwrap_or_default();
        unsettled.settle(found);
    });
}

/// A look-up under way. If it ends without a result, it has failed; otherwise requests would wait for ever.
struct Unsettled(Option<Arc<EndpointState>>);

impl Unsettled {
    fn settle(&mut self, found: Vec<SocketAddr>) {
        if let Some(state) = self.0.take() {
            state.addresses.settle(found);
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.settle(Vec::new());
    }
}

impl AddressSource {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, port)).await?.collect()),
            #[cfg(test)]
            Self::Scripted(script) => script.resolve(name, port).await,
        }
    }
}

/// Connects to one of several addresses: to each in turn, and to the next one beside it if it is silent for long.
async fn connect_to_any(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), UpstreamError> {
    if let [address] = addresses {
        return connect_to(*address).await.map(|tcp| (tcp, *address)).map_err(|error| connect_error(&error));
    }
    let mut rest = addresses.iter().copied();
    let mut tries = JoinSet::new();
    let mut failure: Option<UpstreamError> = None;
    loop {
        if let Some(address) = rest.next() {
            tries.spawn(async move { connect_to(address).await.map(|tcp| (tcp, address)) });
        }
        let outcome = if rest.len() == 0 {
            tries.join_next().await
        } else {
            match tokio::time::timeout(STAGGER, tries.join_next()).await {
                Ok(outcome) => outcome,
                Err(_) => continue,
            }
        };
        match outcome {
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(error))) => {
                let error = connect_error(&error);
                // A host that refuses is there: that tells more than the failures of other addresses.
                let tells_more = failure.is_none() || error.kind == UpstreamErrorKind::Refused;
                failure = if tells_more { Some(error) } else { failure };
            }
            Some(Err(_)) => {}
            None if rest.len() == 0 => {
                let nowhere = || UpstreamError::new(UpstreamErrorKind::Connect, "no connection");
                return Err(failure.unwrap_or_else(nowhere));
            }
            None => {}
        }
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    // Requests are written whole, so there is nothing to collect.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn connect_error(error: &io::Error) -> UpstreamError {
    let (kind, detail) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (UpstreamErrorKind::Refused, "connection refused"),
        io::ErrorKind::TimedOut => (UpstreamErrorKind::ConnectTimeout, "no connection in time"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (UpstreamErrorKind::NoWay, "there is no way to its address")
        }
        _ => return UpstreamError::new(UpstreamErrorKind::Connect, format!("no connection: {error}")),
    };
    UpstreamError::new(kind, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use gangway_model::Scheme;
    use gangway_testkit::ports::ClosedPort;
    use parking_lot::Mutex;
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::upstream::endpoint_state::EndpointHealth;
    use crate::upstream::samples::endpoint_at;

    /// A resolver that answers as a test says.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Script(Arc<ScriptState>);

    #[derive(Debug)]
    struct ScriptState {
        /// Each look-up takes the next of these; without one it fails.
        answers: Mutex<VecDeque<Vec<SocketAddr>>>,
        asked: AtomicUsize,
        /// Look-ups that may go ahead.
        allowed: Semaphore,
    }

    impl Default for ScriptState {
        fn default() -> Self {
            Self { answers: Mutex::default(), asked: AtomicUsize::new(0), allowed: Semaphore::new(0) }
        }
    }

    impl Script {
        pub(crate) async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            self.0.allowed.acquire().await.expect("never closed").forget();
            self.0.answers.lock().pop_front().ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn answer(&self, addresses: &[SocketAddr]) {
            self.0.answers.lock().push_back(addresses.to_vec());
            self.0.allowed.add_permits(1);
        }

        fn fail(&self) {
            self.0.allowed.add_permits(1);
        }

        fn asked(&self) -> usize {
            self.0.asked.load(Ordering::Relaxed)
        }
    }

    fn state() -> Arc<EndpointState> {
        Arc::new(EndpointState::new(EndpointHealth::Healthy))
    }

    async fn listener(address: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    #[tokio::test]
    async fn a_hundred_requests_cause_one_look_up_and_its_failure_is_remembered() {
        let (script, state) = (Script::default(), state());
        let resolver = AddressSource::Scripted(script.clone());
        let requests: Vec<_> = (0..100)
            .map(|_| {
                let (resolver, state) = (resolver.clone(), Arc::clone(&state));
                tokio::spawn(async move { addresses(&resolver, &state, "app", 80).await })
            })
            .collect();
        script.fail();
        for request in requests {
            let error = request.await.expect("no panic").expect_err("the resolver is out of order");
            assert_eq!(error.kind, UpstreamErrorKind::NameUnknown);
        }
        assert_eq!(script.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_keeps_nobody_from_known_addresses() {
        let (script, state) = (Script::default(), state());
        let resolver = AddressSource::Scripted(script.clone());
        let one: SocketAddr = ([192, 0, 2, 1], 80).into();
        script.answer(&[one]);
        assert_eq!(addresses(&resolver, &state, "app", 80).await.expect("found"), [one]);
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..100 {
            assert_eq!(addresses(&resolver, &state, "app", 80).await.expect("known"), [one]);
            tokio::task::yield_now().await;
        }
        assert_eq!(script.asked(), 2, "one look-up at a time");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let nobody = ClosedPort::new();
        let refused = nobody.address();
        let (_open, good) = listener("127.0.0.1:0").await;
        let (_, address) = connect_to_any(&[refused, good]).await.expect("one of them listens");
        assert_eq!(address, good);
        let error = connect_to_any(&[refused, refused]).await.expect_err("nobody listens");
        assert_eq!(error.kind, UpstreamErrorKind::Refused);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_beside_one_that_is_silent() {
        let (_open, good) = listener("127.0.0.1:0").await;
        // The queue of a listener that accepts nothing is full with one connection, and further ones get no answer.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let full = socket.listen(0).expect("it listens");
        let silent = full.local_addr().expect("bound");
        let _queued = connect_to(silent).await.expect("room for one");
        let begun = tokio::time::Instant::now();
        let (_, address) = connect_to_any(&[silent, good]).await.expect("one of them listens");
        assert_eq!(address, good);
        assert!(begun.elapsed() >= STAGGER, "it was not silent");
    }

    #[tokio::test]
    async fn the_address_that_worked_is_the_first_to_be_tried_again() {
        let nobody = ClosedPort::new();
        let refused = nobody.address();
        let (_open, good) = listener("127.0.0.1:0").await;
        let script = Script::default();
        script.answer(&[refused, good]);
        let endpoint = endpoint_at(Scheme::Http, Address::Name("app".into(), 80));
        dial(&AddressSource::Scripted(script), &endpoint).await.expect("one of them listens");
        assert_eq!(endpoint.state.addresses.next_step(), Step::Use(vec![good, refused]));
    }
}
