//! Named listeners: which routes they serve, what their connections begin with, and whom their proxies speak for.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{Plane, RouteToServe, app, route};
use gangway_model::{ListenerName, ListenerProtocol, ListenerScope, Middleware, Transport};
use gangway_proxy::{ListenerFailure, ListenerSettings, ProxySettings, StartError, TrustedProxies};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::raw::{Asked, Raw};
use gangway_testkit::wait::eventually;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const BOTH: [Speaks; 2] = [Speaks::H1, Speaks::H2];

const HOST: &str = "app.localhost";

/// Longer than anything here takes.
const STUCK: Duration = Duration::from_secs(30);

/// The client that the headers below announce.
const CLIENT: &str = "203.0.113.7";

const V1: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n";

/// Version 2: `PROXY`, IPv4, with a field that nobody asks for.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x07\xc0\0\x02\x01\x30\x39\x01\xbb\x04\0\x01x";

/// Version 2: `LOCAL`.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn name(text: &str) -> ListenerName {
    ListenerName::parse(text).expect("a name")
}

fn scope(names: &[&str]) -> ListenerScope {
    ListenerScope { names: Some(names.iter().map(|text| name(text)).collect()), transport: Transport::Any }
}

/// Opens one more listener.
fn open(
    settings: &mut ProxySettings,
    text: &str,
    protocol: ListenerProtocol,
    change: impl FnOnce(&mut ListenerSettings),
) {
    let mut listener = ListenerSettings::new(name(text), protocol, vec![(Ipv4Addr::LOCALHOST, 0).into()]);
    change(&mut listener);
    settings.listeners.push(listener);
}

fn plane_with(text: &str, protocol: ListenerProtocol, change: impl FnOnce(&mut ListenerSettings)) -> Plane {
    Plane::start_with(|settings| open(settings, text, protocol, change))
}

/// Connections from 127.0.0.1 begin with a header.
fn behind_a_proxy(listener: &mut ListenerSettings) {
    listener.proxy_protocol = TrustedProxies::parse("127.0.0.1").expect("an address");
}

fn address(plane: &Plane, text: &str) -> SocketAddr {
    plane.plane.listening().of(text)[0]
}

fn with_tls(plane: &Plane, text: &str) -> Client {
    Client::tls(address(plane, text), plane.ca.root_pem()).expect("valid roots")
}

fn on(names: &[&str], host: &'static str, endpoint: SocketAddr) -> RouteToServe {
    let (mut route, scope) = (route(host, endpoint), scope(names));
    route.change = Box::new(move |route| route.listener.scope = scope);
    route
}

/// A field that the application got, of what it echoes.
fn field(echo: &serde_json::Value, name: &str) -> String {
    let fields = echo["headers"].as_array().expect("a list of fields");
    let of_name = fields.iter().filter(|field| field[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    of_name.filter_map(|field| field[1].as_str()).collect::<Vec<_>>().join(", ")
}

/// The gauge of a listener.
fn open_connections(plane: &Plane, listener: &str) -> f64 {
    let families = plane.registry.gather();
    let family = families.iter().filter(|family| family.name() == "gangway_connections");
    let mut metrics = family.flat_map(prometheus::proto::MetricFamily::get_metric);
    let is_its = |metric: &&prometheus::proto::Metric| metric.get_label().iter().any(|label| label.value() == listener);
    metrics.find(is_its).map_or(0.0, |metric| metric.get_gauge().get_value())
}

#[tokio::test]
async fn a_listener_serves_its_routes_and_the_next_one_gets_what_is_outside() {
    let (narrow, _) = app("narrow").await;
    let (wide, _) = app("wide").await;
    let mut plane = plane_with("internal", ListenerProtocol::Plain, |_| {});
    let mut catch_all = route("*.localhost", wide);
    catch_all.rule = Some("Host(`*.localhost`)");
    catch_all.host = "wide.localhost";
    let own = on(&["internal", "https"], "app.localhost", narrow);
    plane.serve(vec![own, on(&["internal"], "admin.localhost", narrow), catch_all]).await;
    for speaks in BOTH {
        let internal = Client::plain(address(&plane, "internal")).speaking(speaks);
        for (client, host, served) in [
            (&internal, "app.localhost", "narrow"),
            (&internal, "admin.localhost", "narrow"),
            (&plane.https().speaking(speaks), "app.localhost", "narrow"),
            (&plane.http().speaking(speaks), "app.localhost", "wide"),
            (&plane.http().speaking(speaks), "admin.localhost", "wide"),
            (&plane.https().speaking(speaks), "admin.localhost", "wide"),
        ] {
            let answer = client.get(host, "/echo").await.expect("answered");
            assert_eq!(answer.json()["app"], served, "{host} {speaks:?}");
        }
    }
    let _open = Client::plain(address(&plane, "internal")).connect("app.localhost").await.expect("connected");
    eventually("it is counted at its listener", Duration::from_secs(5), async || {
        (open_connections(&plane, "internal") >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_route_of_one_transport_is_not_there_on_the_other() {
    let (endpoint, _) = app("app").await;
    let mut plane = Plane::start_with(|_| {});
    let only = |host, transport| {
        let mut route = route(host, endpoint);
        route.change = Box::new(move |route| route.listener.scope = ListenerScope { names: None, transport });
        route
    };
    plane.serve(vec![only("safe.localhost", Transport::Tls), only("clear.localhost", Transport::Plain)]).await;
    for speaks in BOTH {
        let (http, https) = (plane.http().speaking(speaks), plane.https().speaking(speaks));
        for (client, host, status) in [
            (&https, "safe.localhost", 200),
            (&http, "safe.localhost", 404),
            (&http, "clear.localhost", 200),
            (&https, "clear.localhost", 404),
        ] {
            assert_eq!(client.get(host, "/").await.expect("answered").status, status, "{host} {speaks:?}");
        }
    }
}

#[tokio::test]
async fn the_first_byte_tells_tls_from_a_request() {
    let (endpoint, _) = app("app").await;
    let mut plane = plane_with("mixed", ListenerProtocol::Detected, |_| {});
    plane.serve(vec![on(&["mixed"], HOST, endpoint)]).await;
    let mixed = address(&plane, "mixed");
    for speaks in BOTH {
        for (client, proto) in [(Client::plain(mixed), "http"), (with_tls(&plane, "mixed"), "https")] {
            let answer = client.speaking(speaks).get(HOST, "/echo").await.expect("answered");
            assert_eq!(field(&answer.json(), "x-forwarded-proto"), proto, "{speaks:?}");
        }
    }
    // Byte by byte it is the same.
    let mut slow = Raw::connect(mixed).await.expect("it listens");
    slow.send_in_pieces("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 1).await.expect("sent");
    assert_eq!(slow.answer(Asked::ForAll).await.expect("answered").status, 200);
}

#[tokio::test]
async fn redirects_lead_to_a_listener_of_the_route() {
    let (endpoint, _) = app("app").await;
    let mut plane = Plane::start_with(|settings| {
        open(settings, "internal", ListenerProtocol::Tls, |_| {});
        open(settings, "mixed", ListenerProtocol::Detected, |_| {});
        settings.public_https_port = Some(4443);
    });
    let redirecting = |names: &'static [&'static str], host| {
        let mut route = route(host, endpoint);
        route.change = Box::new(move |route| {
            route.listener.scope = scope(names);
            route.listener.https_redirect = true;
        });
        route
    };
    let routes = vec![
        redirecting(&["http", "https"], "public.localhost"),
        redirecting(&["http", "internal"], "internal.localhost"),
        redirecting(&["mixed"], "mixed.localhost"),
    ];
    plane.serve(routes).await;
    let (internal, mixed) = (address(&plane, "internal").port(), address(&plane, "mixed").port());
    let http = plane.plane.listening().plain()[0];
    for (to, host, port) in [
        (http, "public.localhost", 4443),
        (http, "internal.localhost", internal),
        (address(&plane, "mixed"), "mixed.localhost", mixed),
    ] {
        for speaks in BOTH {
            let client = Client::plain(to).speaking(speaks);
            let answer = client.get(&format!("{host}:{}", to.port()), "/x").await.expect("answered");
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (308, &*format!("https://{host}:{port}/x"))
            );
        }
    }
}

#[tokio::test]
async fn the_client_that_a_header_names_is_the_peer() {
    let (endpoint, _) = app("app").await;
    for protocol in [ListenerProtocol::Plain, ListenerProtocol::Tls, ListenerProtocol::Detected] {
        let mut plane = plane_with("edge", protocol, behind_a_proxy);
        let mut own = route(HOST, endpoint);
        own.rule = Some("Host(`app.localhost`) && ClientIP(`203.0.113.0/24`)");
        plane.serve(vec![own, route("all.localhost", endpoint)]).await;
        let client = match protocol {
            ListenerProtocol::Plain | ListenerProtocol::Detected => Client::plain(address(&plane, "edge")),
            ListenerProtocol::Tls => with_tls(&plane, "edge"),
        };
        for speaks in BOTH {
            for header in [V1.as_bytes(), V2] {
                let client = client.clone().speaking(speaks).beginning_with(header);
                let told = client.get(HOST, "/echo").await.expect("answered").json();
                assert_eq!(field(&told, "x-forwarded-for"), CLIENT, "{speaks:?} {protocol:?}");
                assert_eq!(field(&told, "x-real-ip"), CLIENT);
            }
            for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
                let client = client.clone().speaking(speaks).beginning_with(header);
                let told = client.get("all.localhost", "/echo").await.expect("answered").json();
                assert_eq!(field(&told, "x-forwarded-for"), "127.0.0.1", "the proxy asks for itself");
                assert_eq!(client.get(HOST, "/").await.expect("answered").status, 404);
            }
        }
    }
}

#[tokio::test]
async fn without_its_header_a_proxy_is_not_served_and_of_others_none_is_believed() {
    let (endpoint, app) = app("app").await;
    let mut plane = Plane::start_with(|settings| {
        open(settings, "edge", ListenerProtocol::Plain, behind_a_proxy);
        open(settings, "secure", ListenerProtocol::Tls, behind_a_proxy);
        settings.limits.head_time = Duration::from_millis(300);
    });
    plane.serve(vec![route(HOST, endpoint)]).await;
    let (edge, secure) = (Client::plain(address(&plane, "edge")), with_tls(&plane, "secure"));
    let refused = || plane.metric("gangway_connections_refused_total");
    let mut seen = refused();
    for speaks in BOTH {
        for client in [&edge, &secure] {
            let client = client.clone().speaking(speaks);
            assert!(client.get(HOST, "/").await.is_err(), "it was served without a header");
            seen += 1.0;
            assert_eq!(refused().to_bits(), f64::to_bits(seen));
        }
    }
    // One that stops in the middle of its header is not waited for.
    let mut silent = Raw::connect(address(&plane, "edge")).await.expect("it listens");
    silent.send(&V1[..20]).await.expect("sent");
    assert!(silent.is_closed().await.expect("closed"));
    // In single bytes it is whole in the end.
    let mut slow = Raw::connect(address(&plane, "edge")).await.expect("it listens");
    slow.send_in_pieces(V2, 1).await.expect("sent");
    assert_eq!(slow.ask("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.expect("answered").status, 200);
    let served = app.served();
    // From another address a header is what it looks like: no request, and no handshake.
    let stranger = IpAddr::from([127, 0, 0, 2]);
    for header in [V1.as_bytes(), V2, V2_LOCAL] {
        for speaks in BOTH {
            for client in [&edge, &secure, &plane.http(), &plane.https()] {
                let client = client.clone().leaving_from(stranger).speaking(speaks).beginning_with(header);
                let answer = client.get(HOST, "/").await;
                assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 400));
            }
        }
    }
    assert_eq!(app.served(), served, "no request reached the application");
    assert_eq!(
        edge.leaving_from(stranger).get(HOST, "/").await.expect("answered").status,
        200,
        "without one it is served"
    );
}

#[tokio::test]
async fn bounds_count_the_client_and_not_its_proxy() {
    let (endpoint, _) = app("app").await;
    let mut plane = Plane::start_with(|settings| {
        open(settings, "edge", ListenerProtocol::Plain, behind_a_proxy);
        settings.limits.connections_per_address = 2;
    });
    plane.serve(vec![route(HOST, endpoint)]).await;
    let client = |last: u8| {
        let header = format!("PROXY TCP4 203.0.113.{last} 192.0.2.1 12345 443\r\n");
        Client::plain(address(&plane, "edge")).beginning_with(header)
    };
    let mut held = Vec::new();
    for last in [1, 1, 2, 2] {
        let mut connection = client(last).connect(HOST).await.expect("connected");
        assert_eq!(connection.get("/").await.expect("there is room").status, 200);
        held.push(connection);
    }
    assert!(client(1).get(HOST, "/").await.is_err(), "two are open already");
    held.truncate(2);
    assert_eq!(client(3).get(HOST, "/").await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_listener_has_trusted_proxies_of_its_own() {
    let (endpoint, _) = app("app").await;
    let mut plane = Plane::start_with(|settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("an address");
        open(settings, "direct", ListenerProtocol::Plain, |listener| {
            listener.trusted_proxies = Some(TrustedProxies::default());
        });
        open(settings, "edge", ListenerProtocol::Plain, |listener| {
            behind_a_proxy(listener);
            listener.trusted_proxies = Some(TrustedProxies::parse(CLIENT).expect("an address"));
        });
    });
    let mut own = route(HOST, endpoint);
    own.middlewares = vec![Middleware::BodyLimit(1 << 20)];
    plane.serve(vec![own]).await;
    let edge = Client::plain(address(&plane, "edge")).beginning_with(V1);
    for speaks in BOTH {
        for (client, told) in [
            (&plane.http(), "198.51.100.1, 127.0.0.1"),
            (&Client::plain(address(&plane, "direct")), "127.0.0.1"),
            (&edge, "198.51.100.1, 203.0.113.7"),
        ] {
            let mut connection = client.clone().speaking(speaks).connect(HOST).await.expect("connected");
            let answer = connection.ask("GET", "/echo", &[("x-forwarded-for", "198.51.100.1")], "").await;
            assert_eq!(field(&answer.expect("answered").json(), "x-forwarded-for"), told, "{speaks:?}");
        }
    }
}

#[tokio::test]
async fn listeners_change_while_requests_go_on() {
    let (endpoint, _app) = app("app").await;
    let mut plane = plane_with("edge", ListenerProtocol::Detected, |_| {});
    plane.serve(vec![route(HOST, endpoint)]).await;
    let mut wanted = vec![
        ListenerSettings::http(vec![(Ipv4Addr::LOCALHOST, 0).into()]),
        ListenerSettings::https(vec![(Ipv4Addr::LOCALHOST, 0).into()]),
    ];
    let edge = ListenerSettings::new(name("edge"), ListenerProtocol::Detected, wanted[0].addresses.clone());
    let before = address(&plane, "edge");
    for change in [
        // A client has to come anew where it would be served by other rules now.
        Some(ListenerSettings { trusted_proxies: TrustedProxies::parse("lan").ok(), ..edge }),
        None,
    ] {
        let at = address(&plane, "edge");
        let mut kept = Vec::new();
        for speaks in BOTH {
            for port in [at, plane.plane.listening().plain()[0]] {
                let mut connection = Client::plain(port).speaking(speaks).connect(HOST).await.expect("connected");
                assert_eq!(connection.get("/").await.expect("answered").status, 200);
                kept.push((speaks, port == at, connection));
            }
        }
        let is_removed = change.is_none();
        wanted.truncate(2);
        wanted.extend(change);
        assert!(plane.plane.listeners().open(&wanted).is_some_and(|failures| failures.is_empty()));
        plane.plane.listeners().settle().await;
        for (speaks, is_of_edge, mut connection) in kept {
            match speaks {
                Speaks::H1 => {
                    let answer = connection.get("/").await.expect("answered");
                    assert_eq!((answer.status.as_u16(), answer.header("connection") == "close"), (200, is_of_edge));
                }
                Speaks::H2 if is_of_edge => {
                    eventually("the client goes", STUCK, async || (!connection.is_open()).then_some(())).await;
                }
                Speaks::H2 => assert_eq!(connection.get("/").await.expect("answered").status, 200),
            }
        }
        assert_eq!(plane.plane.listening().of("edge").is_empty(), is_removed);
        assert_eq!(TcpStream::connect(before).await.is_err(), is_removed);
    }

    // An address that another listener has, and one that nobody has: each is judged by itself.
    let http = plane.plane.listening().plain()[0];
    let more = ListenerSettings::new(name("more"), ListenerProtocol::Plain, vec![http]);
    let free = ListenerSettings::new(name("free"), ListenerProtocol::Plain, wanted[0].addresses.clone());
    wanted.extend([more, free]);
    let failures = plane.plane.listeners().open(&wanted).expect("it serves");
    assert!(matches!(&failures[..], [ListenerFailure { cause: StartError::Overlap { .. }, .. }]), "{failures:?}");
    plane.plane.listeners().settle().await;
    for at in [http, address(&plane, "free")] {
        assert_eq!(Client::plain(at).get(HOST, "/").await.expect("answered").status, 200);
    }
    plane.plane.shutdown(Duration::from_secs(5)).await;
    assert!(TcpStream::connect(http).await.is_err(), "no copy of a socket is left");
}

/// A plane on which a client may be silent for longer than a test lasts.
fn patient_plane(protocol: ListenerProtocol, change: impl FnOnce(&mut ListenerSettings)) -> Plane {
    Plane::start_with(|settings| {
        open(settings, "edge", protocol, change);
        settings.limits.head_time = STUCK * 10;
        settings.limits.handshake_time = STUCK * 10;
    })
}

async fn ends_at_once(plane: Plane, what: &str) {
    let ended = tokio::time::timeout(STUCK, plane.plane.shutdown(STUCK * 10)).await;
    assert!(ended.is_ok(), "{what}: it was waited for");
}

#[tokio::test]
async fn clients_that_have_sent_nothing_do_not_delay_the_end() {
    let mut ending = JoinSet::new();
    for protocol in [ListenerProtocol::Plain, ListenerProtocol::Tls, ListenerProtocol::Detected] {
        for is_proxied in [false, true] {
            let change: fn(&mut ListenerSettings) = if is_proxied { behind_a_proxy } else { |_| {} };
            let plane = patient_plane(protocol, change);
            ending.spawn(async move {
                let mut silent = TcpStream::connect(address(&plane, "edge")).await.expect("it listens");
                ends_at_once(plane, &format!("{protocol:?}, behind a proxy {is_proxied}")).await;
                assert_eq!(silent.read(&mut [0]).await.expect("no reset"), 0);
            });
        }
    }
    ending.join_all().await;
}

#[tokio::test]
async fn clients_that_have_sent_nothing_by_tls_do_not_delay_the_end() {
    let (endpoint, _) = app("app").await;
    for speaks in BOTH {
        let mut plane = patient_plane(ListenerProtocol::Tls, |_| {});
        plane.serve(vec![route(HOST, endpoint)]).await;
        let mut silent = with_tls(&plane, "edge").speaking(speaks).stream(HOST).await.expect("a handshake");
        ends_at_once(plane, &format!("{speaks:?}")).await;
        // It may have got our settings, and TLS ends with its TCP.
        let _ = silent.read_to_end(&mut Vec::new()).await;
    }
}
