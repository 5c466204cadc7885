//! The list of scenes: a load, the proxies it goes to, and the ratio that is aimed at.

use crate::bench::clients::{self, Clients};
use crate::bench::h2load::{self, H2load};
use crate::bench::proxies::{
    BESIDE_CADDY, BESIDE_EACH_OTHER, HUNDRED_AGAINST_MANY, Kind, ONE_AGAINST_MANY, Proxy, Stage, WITH_AND_WITHOUT,
};
use crate::bench::sample::Sample;

/// One scene.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Its name, by words of which it can be chosen.
    pub name: &'static str,
    load: Load,
    /// The value that is compared.
    pub compared: Compared,
    /// The proxies it goes to. The ratios are to the second.
    pub proxies: &'static [Kind],
    /// The ratio of the first proxy to the second that is aimed at.
    pub aim: Aim,
}

/// The ratio of the first proxy to the second that is aimed at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// This much, or less.
    AtMost(f64),
    /// This much, or as little as HAProxy's where that is less.
    AtMostOrHaproxy(f64),
}

/// The value that is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compared {
    /// Processor time of a request.
    Cost,
    /// The time in which 99 of 100 requests are answered.
    P99,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Down {
        wire: Wire,
        path: &'static str,
    },
    Up,
    UpH2,
    Grpc,
    Handshakes,
    Resumptions,
    Connections,
    Messages,
    Events,
    Hosts,
    /// A small answer of a route that has something, from all but [`Kind::Bare`].
    With {
        path: &'static str,
        field: &'static str,
    },
    Compressed {
        coding: &'static str,
    },
    HalfOf(Wire),
}

#[derive(Clone, Copy, Debug)]
enum Wire {
    H1,
    H1Tls,
    H2Tls,
}

const fn cost(name: &'static str, load: Load, aim: f64) -> Scene {
    Scene { name, load, compared: Compared::Cost, proxies: BESIDE_EACH_OTHER, aim: Aim::AtMost(aim) }
}

const fn least_cost(name: &'static str, load: Load, aim: f64) -> Scene {
    Scene { name, load, compared: Compared::Cost, proxies: BESIDE_EACH_OTHER, aim: Aim::AtMostOrHaproxy(aim) }
}

const fn p99(name: &'static str, load: Load, aim: f64) -> Scene {
    Scene { name, load, compared: Compared::P99, proxies: BESIDE_EACH_OTHER, aim: Aim::AtMost(aim) }
}

/// Gangway with something against Gangway without it.
const fn with(name: &'static str, load: Load, aim: f64) -> Scene {
    Scene { name, load, compared: Compared::Cost, proxies: WITH_AND_WITHOUT, aim: Aim::AtMost(aim) }
}

const fn beside_caddy(name: &'static str, load: Load, aim: f64) -> Scene {
    Scene { name, load, compared: Compared::Cost, proxies: BESIDE_CADDY, aim: Aim::AtMost(aim) }
}

/// All scenes.
pub const SCENES: &[Scene] = &[
    cost("1 KB, h1", Load::Down { wire: Wire::H1, path: "/1k" }, 0.95),
    cost("1 KB, h1+TLS", Load::Down { wire: Wire::H1Tls, path: "/1k" }, 0.85),
    cost("1 KB, h2+TLS", Load::Down { wire: Wire::H2Tls, path: "/1k" }, 0.95),
    least_cost("64 KB, h1+TLS", Load::Down { wire: Wire::H1Tls, path: "/64k" }, 0.90),
    cost("1 MB down, h1+TLS", Load::Down { wire: Wire::H1Tls, path: "/1m" }, 0.80),
    cost("1 MB down, h2+TLS", Load::Down { wire: Wire::H2Tls, path: "/1m" }, 0.80),
    cost("1 MB up, h1+TLS", Load::Up, 0.80),
    cost("1 MB up, h2+TLS", Load::UpH2, 0.80),
    cost("full handshake", Load::Handshakes, 0.65),
    least_cost("resumed handshake", Load::Resumptions, 0.90),
    least_cost("new TCP connection", Load::Connections, 0.90),
    least_cost("WebSocket message", Load::Messages, 0.90),
    least_cost("event to 1,000 clients", Load::Events, 0.90),
    cost("1 KB, https endpoint", Load::Down { wire: Wire::H1, path: "/secure/1k" }, 1.60),
    cost("gRPC call, h2c endpoint", Load::Grpc, 1.60),
    Scene {
        name: "10,000 hosts against 1",
        load: Load::Hosts,
        compared: Compared::Cost,
        proxies: ONE_AGAINST_MANY,
        aim: Aim::AtMost(1.05),
    },
    Scene {
        name: "10,000 hosts against 100, of 100 apps each",
        load: Load::Hosts,
        compared: Compared::Cost,
        proxies: HUNDRED_AGAINST_MANY,
        aim: Aim::AtMost(1.05),
    },
    cost("64 KB of text, gzip", Load::Compressed { coding: "accept-encoding: gzip" }, 1.00),
    beside_caddy("64 KB of text, zstd, against Caddy", Load::Compressed { coding: "accept-encoding: zstd" }, 1.00),
    with(
        "basic auth against none",
        // `bench:bench`
        Load::With { path: "/basic/1k", field: "authorization: Basic YmVuY2g6YmVuY2g=" },
        1.11,
    ),
    with("lists and a rate limit against none", Load::With { path: "/lists/1k", field: "x-none: 1" }, 1.03),
    beside_caddy("forward auth, against Caddy", Load::With { path: "/forward/1k", field: "x-none: 1" }, 1.00),
    p99("p99 at half load, h1", Load::HalfOf(Wire::H1), 1.10),
    p99("p99 at half load, h2+TLS", Load::HalfOf(Wire::H2Tls), 1.10),
];

impl Scene {
    /// A rate of requests that all proxies get, where the scene has one: half of what nginx can do.
    ///
    /// The same for all: half of its own saturation would be less for one that can do less.
    pub fn rate(&self, stage: &Stage, proxies: &[Proxy], seconds: u64) -> Option<f64> {
        let Load::HalfOf(wire) = self.load else { return None };
        let nginx = proxies.iter().find(|proxy| proxy.kind == Kind::Nginx).expect("nginx is among them");
        let url = nginx.url(wire.is_secure(), "/1k");
        let load = H2load { rate: None, ..wire.small(&url) };
        Some(h2load::run(&load, nginx.id(), seconds, &stage.log()).rate() / 2.0)
    }

    /// Puts its load on a proxy for about so many seconds.
    pub fn measure(&self, stage: &Stage, proxy: &Proxy, seconds: u64, rate: Option<f64>) -> Sample {
        let by_h2load = |load: &H2load<'_>| h2load::run(load, proxy.id(), seconds, &stage.log());
        let by_clients = |clients: &Clients| clients::run(clients, &stage.target(proxy), seconds);
        match self.load {
            Load::Down { wire, path } => by_h2load(&wire.small(&proxy.url(wire.is_secure(), path))),
            Load::Up => {
                let (url, body) = (proxy.url(true, "/upload"), stage.file("1m"));
                by_h2load(&H2load { body: Some(&body), ..Wire::H1Tls.small(&url) })
            }
            Load::UpH2 => {
                let (url, body) = (proxy.url(true, "/upload"), stage.file("1m"));
                by_h2load(&H2load { body: Some(&body), ..Wire::H2Tls.small(&url) })
            }
            Load::Grpc => {
                let (url, body) = (proxy.url(true, "/grpc/Call"), stage.file("message"));
                let fields = &["content-type: application/grpc", "te: trailers"];
                by_h2load(&H2load { body: Some(&body), fields, ..Wire::H2Tls.small(&url) })
            }
            Load::Handshakes => by_clients(&Clients::FullHandshakes),
            Load::Resumptions => by_clients(&Clients::ResumedHandshakes),
            Load::Connections => by_clients(&Clients::Connections),
            Load::Messages => by_clients(&Clients::Messages),
            Load::Events => by_clients(&Clients::Events),
            Load::Hosts => by_clients(&Clients::Hosts(proxy.kind.hosts())),
            Load::With { path, field } => {
                let path = if proxy.kind == Kind::Bare { "/open/1k" } else { path };
                by_h2load(&H2load { fields: &[field], ..Wire::H1.small(&proxy.url(false, path)) })
            }
            Load::Compressed { coding } => {
                by_h2load(&H2load { fields: &[coding], ..Wire::H1.small(&proxy.url(false, "/text")) })
            }
            Load::HalfOf(wire) => by_h2load(&H2load { rate, ..wire.small(&proxy.url(wire.is_secure(), "/1k")) }),
        }
    }
}

impl Wire {
    fn is_secure(self) -> bool {
        match self {
            Self::H1 => false,
            Self::H1Tls | Self::H2Tls => true,
        }
    }

    /// As many requests under way as keep two cores busy.
    fn small(self, url: &str) -> H2load<'_> {
        let (is_h1, connections, streams) = match self {
            Self::H1 | Self::H1Tls => (true, 32, 1),
            Self::H2Tls => (false, 8, 8),
        };
        H2load { is_h1, connections, streams, rate: None, body: None, fields: &[], url }
    }
}
