//! `tls.options` of the file provider: routers of all providers look them up.

use std::collections::BTreeMap;

use gangway_diagnostic::{Diagnostic, codes, quoted};

use super::findings::{Problems, without_effect};
use super::names::Provider;
use super::tree::Node;
use super::values;
use crate::label::{Source, whole};
use crate::route::TlsVersion;

/// The name by which routes ask for the client CAs that `clientAuth.caFiles` of these TLS options names.
pub fn tls_options_client_ca(options: &str) -> Box<str> {
    format!("{options}@file").into()
}

/// What `clientAuth` asks of clients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Authentication {
    /// Clients without a certificate are let in.
    #[default]
    Optional,
    /// A certificate of one of the authorities.
    Verified,
    /// A certificate of any signer, or something that cannot be read.
    Unknown,
}

impl Authentication {
    fn of(node: &Node<'_>) -> Self {
        let options = node.options();
        match options.text("clientauthtype").map(|mark| mark.value.trim()) {
            None | Some("" | "NoClientCert" | "RequestClientCert" | "VerifyClientCertIfGiven") => Self::Optional,
            Some("RequireAndVerifyClientCert") => Self::Verified,
            Some(_) => Self::Unknown,
        }
    }
}

/// The TLS options of files, by name.
#[derive(Debug, Default)]
pub(crate) struct TlsOptions(BTreeMap<Box<str>, OneTlsOptions>);

#[derive(Clone, Debug, Default)]
struct OneTlsOptions {
    min: TlsVersion,
    client_ca: Option<Box<str>>,
    /// They ask for something that is not in force and protects.
    closes: bool,
}

impl TlsOptions {
    /// The options below `tls.options`.
    pub(super) fn read(options: &Node<'_>) -> Self {
        let one = |node: &Node<'_>| {
            let options = node.options();
            let min = options.text("minversion").map(|mark| mark.value.trim());
            let min = if min == Some("VersionTLS13") { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
            let authentication = options.get("clientauth").map(Authentication::of).unwrap_or_default();
            let client_ca = (authentication == Authentication::Verified).then(|| tls_options_client_ca(node.name));
            let closes = authentication == Authentication::Unknown;
            (node.name.into(), OneTlsOptions { min, client_ca, closes })
        };
        Self(options.children.values().map(one).collect())
    }

    /// The name of the options that a router refers to; none where there are none, or where they cannot be in force.
    pub(super) fn find(&self, name: &str, provider: Provider) -> Option<Box<str>> {
        let bare = match (name.split_once('@'), provider) {
            (Some((bare, "file")), _) => bare,
            (None, Provider::File) => name,
            // The default is the same for all providers.
            (None, Provider::Docker) if name == "default" => return Some(name.into()),
            (Some(_), _) | (None, Provider::Docker) => return None,
        };
        match self.0.get(bare) {
            Some(options) => (!options.closes).then(|| bare.into()),
            None => (bare == "default").then(|| bare.into()),
        }
    }

    /// The oldest version of TLS, and the authorities that sign for clients.
    pub(super) fn of(&self, name: &str) -> (TlsVersion, Option<Box<str>>) {
        let bare = name.strip_suffix("@file").unwrap_or(name);
        self.0.get(bare).map_or_else(Default::default, |options| (options.min, options.client_ca.clone()))
    }
}

/// Reports what the TLS options of files ask for and cannot have.
pub(super) fn check(options: &Node<'_>, found: &mut Vec<Diagnostic>) {
    for node in options.children.values() {
        let options = node.options();
        let mut problems = Problems::default();
        let versions = ["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];
        if let Some(mark) = options.text("minversion")
            && !versions.contains(&mark.value.trim())
        {
            problems.add(mark, values::invalid("not a version of TLS", "write `VersionTLS12` or `VersionTLS13`"));
        }
        for (name, instead) in [
            ("maxversion", "the newest version that both sides speak is used"),
            ("ciphersuites", "only strong cipher suites are offered"),
            ("curvepreferences", "the curves of the TLS library are offered"),
            ("alpnprotocols", "`h2` and `http/1.1` are offered"),
            ("disablesessiontickets", "sessions may be resumed"),
            ("preferservercipersuites", "the order of the server counts"),
            ("preferserverciphersuites", "the order of the server counts"),
            ("snistrict", "names that no route has get no certificate anyway"),
        ] {
            if let Some(node) = options.get(name) {
                problems.add(node.first, without_effect(&format!("`{}` is not in force", node.name), instead));
            }
        }
        if let Some(node) = options.get("clientauth") {
            let of_clients = node.options();
            let _ = of_clients.get("cafiles");
            let wanted = of_clients.text("clientauthtype").map_or("", |mark| mark.value.trim());
            match Authentication::of(node) {
                Authentication::Verified => {}
                Authentication::Unknown => {
                    let message = "only certificates that an authority has signed can be asked of clients";
                    let finding = whole(codes::TRAEFIK_TLS_OPTIONS, message, "", "write `RequireAndVerifyClientCert`");
                    let source = node.first.place.map(Source::Provider);
                    let effect = "routers that refer to these options are closed".to_owned();
                    found.extend(source.map(|source| source.about_key(node.first, finding, effect)));
                }
                Authentication::Optional if matches!(wanted, "" | "NoClientCert") => {}
                Authentication::Optional => {
                    let message = format!("`{wanted}` is not in force");
                    problems.add(node.first, without_effect(&message, "clients are not asked for a certificate"));
                }
            }
            problems.unknown(&of_clients, "`clientAuth`");
        }
        problems.unknown(&options, "TLS options");
        let mark = node.first;
        let Some(place) = mark.place else { continue };
        problems.report(
            Source::Provider(place),
            || format!("TLS options {} are used without it", quoted(node.name)),
            found,
        );
    }
}
