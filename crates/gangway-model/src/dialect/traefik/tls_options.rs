//! `tls.options` of the file provider: routers of all providers look them up.

use std::collections::BTreeMap;

use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

use super::findings::{Problems, without_effect};
use super::names::Provider;
use super::tree::Node;
use super::values;
use crate::label::{Source, whole};
use crate::route::TlsVersion;

/// The options of routers for which none are named.
const DEFAULT: &str = "default";

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

/// What one declaration says.
#[derive(Clone, Debug, Default)]
pub(super) struct OneTlsOptions {
    /// The oldest version of TLS.
    pub min: TlsVersion,
    /// The authorities that sign for clients.
    pub client_ca: Option<Box<str>>,
    /// They ask for something that is not in force and protects.
    closes: bool,
}

/// Why routers cannot be served with TLS options.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unusable {
    /// Nobody declares them.
    Missing,
    /// They ask for something that is not in force and protects.
    Closing,
}

impl Unusable {
    /// What is wrong with the options of this name.
    pub(super) fn finding(self, name: &str) -> Finding {
        let name = quoted(name);
        let (message, help) = match self {
            Self::Missing => {
                (format!("no TLS options {name} are declared"), "declare them in a file of the file provider")
            }
            Self::Closing => (format!("the TLS options {name} cannot be in force"), "put right what is found in them"),
        };
        whole(codes::TRAEFIK_TLS_OPTIONS, message, "", help)
    }
}

impl TlsOptions {
    /// The options below `tls.options`.
    pub(super) fn read(options: &Node<'_>) -> Self {
        Self(options.children.values().map(|node| (node.name.into(), one(node).options)).collect())
    }

    /// The options that are named by a router, or else the default, which a file may declare.
    pub(super) fn find(&self, name: Option<&str>, provider: Provider) -> Result<OneTlsOptions, Unusable> {
        let name = name.unwrap_or(DEFAULT);
        let bare = match (name.split_once('@'), provider) {
            (Some((bare, "file")), _) => bare,
            (None, Provider::File) => name,
            // The default is the same for all providers.
            (None, Provider::Docker) if name == DEFAULT => name,
            (Some(_), _) | (None, Provider::Docker) => return Err(Unusable::Missing),
        };
        match self.0.get(bare) {
            Some(options) if options.closes => Err(Unusable::Closing),
            Some(options) => Ok(options.clone()),
            None if bare == DEFAULT => Ok(OneTlsOptions::default()),
            None => Err(Unusable::Missing),
        }
    }
}

/// A declaration as it was read.
struct ReadOptions<'s> {
    options: OneTlsOptions,
    /// What cannot be in force and may have been meant to protect.
    doubtful: Problems<'s>,
    without_effect: Problems<'s>,
}

fn one<'s>(node: &Node<'s>) -> ReadOptions<'s> {
    let options = node.options();
    let (mut doubtful, mut unused) = (Problems::default(), Problems::default());
    let versions = [
        ("", TlsVersion::Tls12),
        ("VersionTLS10", TlsVersion::Tls12),
        ("VersionTLS11", TlsVersion::Tls12),
        ("VersionTLS12", TlsVersion::Tls12),
        ("VersionTLS13", TlsVersion::Tls13),
    ];
    let version = |text: &str| {
        let known = versions.iter().find(|(name, _)| *name == text).map(|(_, version)| *version);
        known.ok_or_else(|| values::invalid("not a version of TLS", "write `VersionTLS12` or `VersionTLS13`"))
    };
    let min = doubtful.read(&options, "minversion", version).unwrap_or_default();
    for (name, instead) in [
        ("maxversion", "the newest version that both sides speak is used"),
        ("ciphersuites", "only strong cipher suites are offered"),
        ("curvepreferences", "the curves of the TLS library are offered"),
        ("alpnprotocols", "`h2` and `http/1.1` are offered"),
        ("disablesessiontickets", "sessions may be resumed"),
        ("preferservercipersuites", "the order of the server counts"),
        ("preferserverciphersuites", "the order of the server counts"),
        ("snistrict", "that of the options `default` decides about names that no router has"),
    ] {
        let is_in_force = name == "snistrict" && node.name == DEFAULT;
        if let Some(node) = options.get(name).filter(|_| !is_in_force) {
            unused.add(node.first, without_effect(&format!("`{}` is not in force", node.name), instead));
        }
    }
    let mut client_ca = None;
    if let Some(of_clients) = options.get("clientauth") {
        let authentication = Authentication::of(of_clients);
        let (mark, options) = (of_clients.first, of_clients.options());
        let _ = options.get("cafiles");
        let wanted = options.text("clientauthtype").map_or("", |mark| mark.value.trim());
        match authentication {
            Authentication::Verified => client_ca = Some(tls_options_client_ca(node.name)),
            Authentication::Unknown => {
                let message = "only certificates that an authority has signed can be asked of clients";
                let finding = whole(codes::TRAEFIK_TLS_OPTIONS, message, "", "write `RequireAndVerifyClientCert`");
                doubtful.add(mark, finding);
            }
            Authentication::Optional if matches!(wanted, "" | "NoClientCert") => {}
            Authentication::Optional => {
                let message = format!("`{wanted}` is not in force");
                unused.add(mark, without_effect(&message, "clients are not asked for a certificate"));
            }
        }
        doubtful.unknown(&options, "`clientAuth`");
    }
    doubtful.unknown(&options, "TLS options");
    let options = OneTlsOptions { min, client_ca, closes: !doubtful.is_empty() };
    ReadOptions { options, doubtful, without_effect: unused }
}

/// Reports what the TLS options of files ask for and cannot have.
pub(super) fn check(options: &Node<'_>, found: &mut Vec<Diagnostic>) {
    for node in options.children.values() {
        let Some(source) = node.first.place.map(Source::Provider) else { continue };
        let ReadOptions { options: _, doubtful, without_effect } = one(node);
        let routers = if node.name == DEFAULT { "with TLS that refer to no others" } else { "that refer to them" };
        doubtful.report(source, || format!("routers {routers} are closed"), found);
        without_effect.report(source, || format!("TLS options {} are used without it", quoted(node.name)), found);
    }
}
