//! `http.serversTransports`: how services are connected to. Files declare them, and services of all providers name them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, quoted};

use super::findings::{Problems, without_effect};
use super::names::Provider;
use super::tree::{Node, Options};
use super::values;
use crate::label::Source;
use crate::settings::ServersTransport;
use crate::transport_settings::{ClientCertificate, PemSource, TransportSettings};

/// Options that ask for another check of the certificate than that of its host. They are not in force, and a user who
/// asks for one does not want none at all.
const OTHER_CHECKS: [(&str, &str); 3] = [
    ("peercerturi", "the certificate of an application is checked for its host, and not for a URI"),
    ("peercertsans", "the certificate of an application is checked for its host or for `serverName` alone"),
    ("spiffe", "the certificate of an application is checked for its host, and not for an identity of SPIFFE"),
];

/// The transports of the file provider, by name.
#[derive(Debug, Default)]
pub(super) struct Transports(BTreeMap<Box<str>, ServersTransport>);

impl Transports {
    /// The transports below `http.serversTransports`.
    pub(super) fn read(transports: &Node<'_>) -> Self {
        let all = transports.children.values();
        Self(all.map(|node| (node.name.into(), transport(node, &mut Problems::default()))).collect())
    }

    /// The transport that a service names; none where there is none.
    pub(super) fn find(&self, name: &str, provider: Provider) -> Option<&ServersTransport> {
        // Transports stand in files only, and a bare name on a container is one of the same provider.
        let bare = match (name.split_once('@'), provider) {
            (Some((bare, "file")), _) => bare,
            (None, Provider::File) => name,
            (Some(_), _) | (None, Provider::Docker) => return None,
        };
        self.0.get(bare)
    }
}

/// Reports what the transports of files ask for and cannot have.
pub(super) fn check(transports: &Node<'_>, found: &mut Vec<Diagnostic>) {
    for node in transports.children.values() {
        let mut problems = Problems::default();
        transport(node, &mut problems);
        let Some(place) = node.first.place else { continue };
        let effect = || format!("transport {} is used without it", quoted(node.name));
        problems.report(Source::Provider(place), effect, found);
    }
}

fn transport<'s>(node: &Node<'s>, problems: &mut Problems<'s>) -> ServersTransport {
    let options = node.options();
    let skips = problems.read(&options, "insecureskipverify", values::boolean).unwrap_or(false);
    let checks_otherwise = not_in_force(&options, &OTHER_CHECKS, problems);
    not_in_force(
        &options,
        &[
            ("ciphersuites", "only strong cipher suites are offered"),
            ("minversion", "TLS 1.2 and newer is spoken"),
            ("maxversion", "the newest version that both sides speak is used"),
        ],
        problems,
    );
    let server_name = options.text("servername").map(|mark| mark.value.trim()).filter(|name| !name.is_empty());
    let roots = options.list("rootcas");
    let roots = roots.into_iter().map(|(_, text)| text).filter(|text| !text.is_empty()).map(PemSource::new);
    let disables_http2 = problems.read(&options, "disablehttp2", values::boolean).unwrap_or(false);
    let idle_max = problems.read(&options, "maxidleconnsperhost", values::integer);
    let mut settings = TransportSettings {
        verify: !skips || checks_otherwise,
        server_name: server_name.map(Into::into),
        roots: roots.collect(),
        certificates: certificates(&options, problems),
        offers_http2: !disables_http2,
        idle_timeout: None,
        idle_max: idle_max.and_then(ServersTransport::idle_max),
    };
    let mut transport = ServersTransport::default();
    if let Some(timeouts) = options.get("forwardingtimeouts") {
        let inner = timeouts.options();
        transport.connect = time(&inner, "dialtimeout", problems);
        transport.response = time(&inner, "responseheadertimeout", problems);
        settings.idle_timeout = time(&inner, "idleconntimeout", problems);
        let pings = "a connection of HTTP/2 that owes an answer is asked after ten seconds whether it lives";
        not_in_force(&inner, &[("readidletimeout", pings), ("pingtimeout", pings)], problems);
        problems.unknown(&inner, "`forwardingTimeouts`");
    }
    problems.unknown(&options, "a transport");
    transport.settings = Arc::new(settings);
    transport
}

/// No time at all says that there is no bound, and then ours holds.
fn time<'s>(options: &Options<'_, 's>, name: &'static str, problems: &mut Problems<'s>) -> Option<Duration> {
    problems.read(options, name, values::duration).filter(|time| !time.is_zero())
}

fn certificates<'s>(options: &Options<'_, 's>, problems: &mut Problems<'s>) -> Box<[ClientCertificate]> {
    let mut all = Vec::new();
    for item in options.get("certificates").into_iter().flat_map(Node::items) {
        let inner = item.options();
        let pem = |name| inner.text(name).map(|mark| mark.value.trim()).filter(|text| !text.is_empty());
        match pem("certfile").zip(pem("keyfile")) {
            Some((chain, key)) => {
                all.push(ClientCertificate { chain: PemSource::new(chain), key: PemSource::new(key) });
            }
            None => {
                let help = "add `certFile` and `keyFile`";
                problems
                    .add(item.first, values::invalid("a certificate without a file of its own or of its key", help));
            }
        }
        problems.unknown(&inner, "a certificate");
    }
    all.into()
}

/// Notes options that are known and not in force. Returns whether any is there.
fn not_in_force<'s>(options: &Options<'_, 's>, names: &[(&'static str, &str)], problems: &mut Problems<'s>) -> bool {
    let mut any = false;
    for (name, instead) in names {
        if let Some(node) = options.get(name) {
            problems.add(node.first, without_effect(&format!("`{}` is not in force", node.name), instead));
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::Place;

    use super::*;
    use crate::settings::DynamicKey;

    fn read(options: &[(&str, &str)]) -> ServersTransport {
        let key = |(path, value): &(&str, &str)| DynamicKey {
            path: ["t"].into_iter().chain(path.split('.')).map(Into::into).collect(),
            value: (*value).into(),
            place: Place::Configuration,
        };
        let keys: Vec<_> = options.iter().map(key).collect();
        let transports = Transports::read(&Node::of_files(&keys));
        transports.find("t@file", Provider::Docker).expect("it is declared").clone()
    }

    #[test]
    fn a_transport_says_whom_to_trust_what_to_show_and_how_long_to_wait() {
        let whole = read(&[
            ("serverName", "nas.internal"),
            ("rootCAs.[0]", "/certs/root.pem"),
            ("rootCAs.[1]", "-----BEGIN CERTIFICATE-----"),
            ("certificates.[0].certFile", "/certs/me.pem"),
            ("certificates.[0].keyFile", "/certs/me.key"),
            ("disableHTTP2", "true"),
            ("maxIdleConnsPerHost", "7"),
            ("forwardingTimeouts.dialTimeout", "2s"),
            ("forwardingTimeouts.responseHeaderTimeout", "3"),
            ("forwardingTimeouts.idleConnTimeout", "1m30s"),
        ]);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!((whole.connect, whole.response), (seconds(2), seconds(3)));
        let root = PemSource::File("/certs/root.pem".into());
        let key = PemSource::File("/certs/me.key".into());
        assert_eq!(
            *whole.settings,
            TransportSettings {
                verify: true,
                server_name: Some("nas.internal".into()),
                roots: [root, PemSource::Text("-----BEGIN CERTIFICATE-----".into())].into(),
                certificates: [ClientCertificate { chain: PemSource::File("/certs/me.pem".into()), key }].into(),
                offers_http2: false,
                idle_timeout: seconds(90),
                idle_max: Some(7),
            }
        );
    }

    #[test]
    fn nothing_and_no_time_leave_what_is_usual() {
        let idle = [("-1", Some(0)), ("0", None), ("99999999999", Some(u32::MAX))];
        for (text, max) in idle {
            assert_eq!(read(&[("maxIdleConnsPerHost", text)]).settings.idle_max, max, "{text}");
        }
        let usual = read(&[
            ("forwardingTimeouts.dialTimeout", "0s"),
            ("forwardingTimeouts.idleConnTimeout", "0"),
            ("rootCAs", ""),
            ("serverName", " "),
        ]);
        assert_eq!(usual, ServersTransport::default());
    }

    #[test]
    fn another_check_that_is_not_in_force_never_becomes_none_at_all() {
        assert!(!read(&[("insecureSkipVerify", "true")]).settings.verify);
        for other in ["peerCertURI", "peerCertSANs.[0].value", "spiffe.ids.[0]"] {
            assert!(read(&[("insecureSkipVerify", "true"), (other, "x")]).settings.verify, "{other}");
        }
        assert!(read(&[("insecureSkipVerify", "maybe")]).settings.verify);
    }

    #[test]
    fn a_bare_name_is_one_of_the_same_provider() {
        let key = |place| DynamicKey { path: ["t".into()].into(), value: "".into(), place };
        let keys = [key(Place::Configuration)];
        let transports = Transports::read(&Node::of_files(&keys));
        assert!(transports.find("t", Provider::File).is_some() && transports.find("t", Provider::Docker).is_none());
        assert!(transports.find("t@docker", Provider::File).is_none());
    }
}
