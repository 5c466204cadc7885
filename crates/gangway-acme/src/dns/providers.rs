//! Records at providers that have an API of their own, and at name servers (RFC 2136), by `dns-update`.
//!
//! No other file names a type of that crate.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater, Error, TsigAlgorithm};

use super::record::{RecordChange, TxtRecord};

/// Deadline of one request; a change may take several.
const REQUEST_DEADLINE: Option<Duration> = Some(Duration::from_secs(30));

/// The values from the environment, by the name of the variable.
pub(super) type Credentials = BTreeMap<&'static str, Box<str>>;

/// A provider that is known by name.
#[derive(Debug)]
pub(super) struct KnownProvider {
    pub(super) name: &'static str,
    /// Variables that must be given.
    pub(super) needs: &'static [&'static str],
    /// Variables that may be given.
    pub(super) takes: &'static [&'static str],
    /// Whether the provider keeps only one value at a name.
    pub(super) is_single: bool,
    /// The shortest lifetime of a record that the provider accepts, in seconds.
    ttl: u32,
    make: fn(&Credentials) -> dns_update::Result<DnsUpdater>,
}

const PLAIN: KnownProvider =
    KnownProvider { name: "", needs: &[], takes: &[], is_single: false, ttl: 120, make: |_| Err(Error::NotFound) };

/// All known providers, sorted by name.
pub(super) const KNOWN: &[KnownProvider] = &[
    KnownProvider {
        name: "bunny",
        needs: &["BUNNY_API_KEY"],
        make: |given| DnsUpdater::new_bunny(text(given, "BUNNY_API_KEY"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "cloudflare",
        needs: &["CLOUDFLARE_API_TOKEN"],
        make: |given| DnsUpdater::new_cloudflare(text(given, "CLOUDFLARE_API_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "desec",
        needs: &["DESEC_TOKEN"],
        ttl: 3600,
        make: |given| DnsUpdater::new_desec(text(given, "DESEC_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "digitalocean",
        needs: &["DIGITALOCEAN_TOKEN"],
        make: |given| DnsUpdater::new_digitalocean(text(given, "DIGITALOCEAN_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "duckdns",
        needs: &["DUCKDNS_TOKEN"],
        is_single: true,
        make: |given| DnsUpdater::new_duckdns(text(given, "DUCKDNS_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "gandi",
        needs: &["GANDI_TOKEN"],
        ttl: 300,
        make: |given| DnsUpdater::new_gandiv5(text(given, "GANDI_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "hetzner",
        needs: &["HETZNER_API_TOKEN"],
        make: |given| DnsUpdater::new_hetzner(text(given, "HETZNER_API_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "ionos",
        needs: &["IONOS_API_KEY"],
        make: |given| DnsUpdater::new_ionos(text(given, "IONOS_API_KEY"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "linode",
        needs: &["LINODE_TOKEN"],
        ttl: 300,
        make: |given| DnsUpdater::new_linode(text(given, "LINODE_TOKEN"), REQUEST_DEADLINE),
        ..PLAIN
    },
    KnownProvider {
        name: "netcup",
        needs: &["NETCUP_CUSTOMER_NUMBER", "NETCUP_API_KEY", "NETCUP_API_PASSWORD"],
        make: |given| {
            let [number, key, password] =
                ["NETCUP_CUSTOMER_NUMBER", "NETCUP_API_KEY", "NETCUP_API_PASSWORD"].map(|name| text(given, name));
            DnsUpdater::new_netcup(number, key, password, REQUEST_DEADLINE)
        },
        ..PLAIN
    },
    KnownProvider {
        name: "ovh",
        needs: &["OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY"],
        takes: &["OVH_ENDPOINT"],
        make: |given| {
            let [key, secret, consumer] =
                ["OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY"].map(|name| text(given, name));
            DnsUpdater::new_ovh(key, secret, consumer, ovh_endpoint(text(given, "OVH_ENDPOINT"))?, REQUEST_DEADLINE)
        },
        ..PLAIN
    },
    KnownProvider {
        name: "porkbun",
        needs: &["PORKBUN_API_KEY", "PORKBUN_SECRET_API_KEY"],
        ttl: 600,
        make: |given| {
            let [key, secret] = ["PORKBUN_API_KEY", "PORKBUN_SECRET_API_KEY"].map(|name| text(given, name));
            DnsUpdater::new_porkbun(key, secret, REQUEST_DEADLINE)
        },
        ..PLAIN
    },
    KnownProvider {
        name: "rfc2136",
        needs: &["RFC2136_NAMESERVER", "RFC2136_TSIG_KEY", "RFC2136_TSIG_SECRET"],
        takes: &["RFC2136_TSIG_ALGORITHM"],
        make: |given| {
            let secret = BASE64_STANDARD.decode(text(given, "RFC2136_TSIG_SECRET"));
            let secret = secret.map_err(|_| Error::Parse("RFC2136_TSIG_SECRET is no base64".into()))?;
            let algorithm = tsig_algorithm(text(given, "RFC2136_TSIG_ALGORITHM"))?;
            let [server, key] = ["RFC2136_NAMESERVER", "RFC2136_TSIG_KEY"].map(|name| text(given, name));
            DnsUpdater::new_rfc2136_tsig(server, key, secret, algorithm)
        },
        ..PLAIN
    },
    KnownProvider {
        name: "route53",
        needs: &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        takes: &["AWS_SESSION_TOKEN", "AWS_REGION", "AWS_HOSTED_ZONE_ID"],
        make: |given| {
            let maybe = |name: &str| given.get(name).map(ToString::to_string);
            DnsUpdater::new_route53(Route53Config {
                access_key_id: text(given, "AWS_ACCESS_KEY_ID").to_owned(),
                secret_access_key: text(given, "AWS_SECRET_ACCESS_KEY").to_owned(),
                session_token: maybe("AWS_SESSION_TOKEN"),
                region: maybe("AWS_REGION"),
                hosted_zone_id: maybe("AWS_HOSTED_ZONE_ID"),
                private_zone_only: None,
                endpoint: None,
            })
        },
        ..PLAIN
    },
    KnownProvider {
        name: "vultr",
        needs: &["VULTR_API_KEY"],
        make: |given| DnsUpdater::new_vultr(text(given, "VULTR_API_KEY"), REQUEST_DEADLINE),
        ..PLAIN
    },
];

fn text<'a>(given: &'a Credentials, name: &str) -> &'a str {
    given.get(name).map_or("", |text| text)
}

fn ovh_endpoint(name: &str) -> dns_update::Result<OvhEndpoint> {
    match name {
        "" | "ovh-eu" => Ok(OvhEndpoint::OvhEu),
        "ovh-us" => Ok(OvhEndpoint::OvhUs),
        "ovh-ca" => Ok(OvhEndpoint::OvhCa),
        "kimsufi-eu" => Ok(OvhEndpoint::KimsufiEu),
        "kimsufi-ca" => Ok(OvhEndpoint::KimsufiCa),
        "soyoustart-eu" => Ok(OvhEndpoint::SoyoustartEu),
        "soyoustart-ca" => Ok(OvhEndpoint::SoyoustartCa),
        _ => Err(Error::Parse("OVH_ENDPOINT is none of ovh-eu, ovh-us, ovh-ca, kimsufi-…, soyoustart-…".into())),
    }
}

fn tsig_algorithm(name: &str) -> dns_update::Result<TsigAlgorithm> {
    match name.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "" | "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err(Error::Parse("RFC2136_TSIG_ALGORITHM is none of hmac-sha256, hmac-sha384, hmac-sha512".into())),
    }
}

impl KnownProvider {
    /// Checks that the values could be used, without asking the provider.
    pub(super) fn check(&self, given: &Credentials) -> Result<(), String> {
        self.updater(given).map(drop)
    }

    /// Makes or removes the record.
    pub(super) async fn change(
        &'static self,
        given: &Credentials,
        record: &TxtRecord,
        change: RecordChange,
    ) -> Result<(), String> {
        let given = given.clone();
        // Making the client reads the system's roots, which blocks.
        let updater = tokio::task::spawn_blocking(move || self.updater(&given)).await;
        let updater = updater.map_err(|_| "a fault of ours".to_owned())??;
        let (owner, zone) = (record.owner.as_str(), record.zone.as_deref().unwrap_or_default());
        let kind = DnsRecordType::TXT;
        let values = vec![DnsRecord::TXT(record.value.clone())];
        let changed = match (change, self.is_single) {
            (RecordChange::Present, false) => updater.add_to_rrset(owner, kind, self.ttl, values, zone).await,
            (RecordChange::Remove, false) => updater.remove_from_rrset(owner, kind, values, zone).await,
            (RecordChange::Present, true) => updater.set_rrset(owner, kind, self.ttl, values, zone).await,
            (RecordChange::Remove, true) => updater.set_rrset(owner, kind, self.ttl, Vec::new(), zone).await,
        };
        changed.map_err(|error| error.to_string())
    }

    /// Makes the provider's client. The crate's HTTP client trusts only the system's roots and panics if there are
    /// none.
    fn updater(&self, given: &Credentials) -> Result<DnsUpdater, String> {
        match catch_unwind(AssertUnwindSafe(|| (self.make)(given))) {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err("this system has no root certificates, such as /etc/ssl/certs/ca-certificates.crt".into()),
        }
    }
}
