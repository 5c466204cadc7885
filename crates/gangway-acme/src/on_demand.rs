//! Certificates for names that no route lists, if a service of the operator permits them.
//!
//! Handshakes name the certificates they want ([`gangway_tls::Demand`]). This module filters the names, asks about
//! them at a URL of the operator, and permits them for a while. Permitted names are ordered like all others, within
//! the same limits. Before a renewal the URL is asked again.
//!
//! Strangers choose the names, so nothing is spent on one before the URL has said yes, and a doubt is a no.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_publish::{Publisher, Reader};
use gangway_tls::{CertName, Demand, DemandDecision, UnixTime};
use http::{Request, StatusCode};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::clock::moment;
use crate::http::{ApiRootError, Http, Refused};
use crate::schedule::{NameState, is_orderable, is_shared_domain};

/// Deadline of one question: the handshake waits for the answer and then for the certificate.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Questions under way at once, and the least time between two of them: fifty a second.
const UNDER_WAY_MAX: usize = 8;
const SPACING: Duration = Duration::from_millis(20);

/// The time after a permit in which an order may begin. A name that fails is tried again within this time; later a
/// handshake must ask for it anew.
const PERMIT_LIFETIME: Duration = Duration::from_hours(1);

/// The most names that are permitted at one time.
const PERMITS_MAX: usize = 1024;

/// A finding stays for this long, and its wording changes at most once in that time.
const TOLD_FOR: Duration = Duration::from_hours(1);

/// Interval between checks for findings that are out of date.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The service that decides which unlisted names may have certificates.
#[derive(Clone, Debug)]
pub struct OnDemandSettings {
    /// The URL, asked by `GET <url>?domain=<name>`: 2xx is a yes.
    pub ask: Box<str>,
    /// The filter for names: the URL is asked only about names that this takes.
    pub takes: Takes,
}

/// Decides whether a route takes requests of a normal name without listing it.
#[derive(Clone)]
pub struct Takes(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Takes {
    /// Wraps the function. It is called often, so it should be quick.
    pub fn new(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(takes))
    }
}

impl fmt::Debug for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takes")
    }
}

/// The permitted names, and findings about failures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permits {
    /// Each permitted name with the end of its permit.
    names: BTreeMap<Box<str>, UnixTime>,
    findings: Vec<Diagnostic>,
}

/// The worker's access to demand and permits.
#[derive(Clone, Debug)]
pub(crate) struct OnDemand {
    pub(crate) demand: Arc<Demand>,
    pub(crate) takes: Takes,
    pub(crate) permits: Reader<Permits>,
}

impl OnDemand {
    /// Unlisted names that are to have certificates, each with the end of its permit: the permitted names, and
    /// those whose certificate is still valid.
    pub(crate) fn names(
        &self,
        listed: &BTreeSet<Box<str>>,
        states: &BTreeMap<Box<str>, NameState>,
        now: UnixTime,
    ) -> BTreeMap<Box<str>, UnixTime> {
        let permits = self.permits.load_full();
        let stored = states.iter().filter(|(name, state)| {
            let bundle = state.stored.as_ref().map(|stored| &stored.bundle);
            bundle.is_some_and(|bundle| *bundle.names == [(*name).clone()] && bundle.is_valid_at(now))
        });
        let stored = stored
            .filter(|(name, _)| !CertName::parse(name).is_wildcard())
            .map(|(name, _)| (name.clone(), UnixTime::EPOCH));
        let permitted = permits.names.iter().map(|(name, until)| (name.clone(), *until));
        let permitted = permitted.filter(|(_, until)| *until > now);
        stored.chain(permitted).filter(|(name, _)| !listed.contains(name) && (self.takes.0)(name)).collect()
    }

    pub(crate) fn findings(&self) -> Vec<Diagnostic> {
        self.permits.load().findings.clone()
    }

    /// Asks whether a certificate may be renewed.
    pub(crate) fn ask(&self, name: &str) {
        self.demand.want(name, Instant::now().into_std());
    }
}

/// Decides about the names that handshakes ask for, for ever.
pub(crate) async fn decide(
    settings: OnDemandSettings,
    demand: Arc<Demand>,
    root_pem: Option<&str>,
    clock: Clock,
    permits: Publisher<Permits>,
) -> Infallible {
    let http = Http::also_plain(root_pem);
    let mut asker =
        Asker { settings, demand, http, clock, permits, names: BTreeMap::new(), troubles: OnDemandTroubles::default() };
    let mut questions = asker.demand.questions();
    let mut under_way = FuturesUnordered::new();
    let mut next = Instant::now();
    loop {
        while under_way.len() < UNDER_WAY_MAX && Instant::now() >= next {
            let Some(name) = asker.demand.take(Instant::now().into_std()) else { break };
            if asker.may_ask(&name) {
                next = Instant::now() + SPACING;
                under_way.push(asker.question(name));
            } else {
                asker.demand.decide(&name, DemandDecision::Refused, Instant::now().into_std());
            }
        }
        let is_spaced = under_way.len() < UNDER_WAY_MAX && Instant::now() < next;
        tokio::select! {
            Some((name, answer)) = under_way.next(), if !under_way.is_empty() => asker.answered(&name, answer),
            _ = questions.changed() => {}
            () = tokio::time::sleep_until(next), if is_spaced => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        asker.tell();
    }
}

struct Asker {
    settings: OnDemandSettings,
    demand: Arc<Demand>,
    /// The HTTP client. Without one every question gets the same answer: unknown.
    http: Result<Http, ApiRootError>,
    clock: Clock,
    permits: Publisher<Permits>,
    names: BTreeMap<Box<str>, UnixTime>,
    troubles: OnDemandTroubles,
}

/// The service's reply about a name.
enum PermissionReply {
    Allowed,
    Refused(StatusCode),
    None(String),
}

impl Asker {
    /// Whether a CA could sign for the name and a route takes it: the service is asked about no other name.
    fn may_ask(&self, name: &str) -> bool {
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        !is_address && is_orderable(name) && !is_shared_domain(name) && (self.settings.takes.0)(name)
    }

    fn question(&self, name: Box<str>) -> impl Future<Output = (Box<str>, PermissionReply)> + use<> {
        let (http, url) = (self.http.clone(), url(&self.settings.ask, &name));
        async move {
            let http = match http {
                Ok(http) => http,
                Err(error) => return (name, PermissionReply::None(error.to_string())),
            };
            let answer = tokio::time::timeout(ANSWER_MAX, answer(&http, &url)).await;
            let silence = || PermissionReply::None(format!("no answer within {} s", ANSWER_MAX.as_secs()));
            (name, answer.unwrap_or_else(|_| silence()))
        }
    }

    fn answered(&mut self, name: &str, answer: PermissionReply) {
        let now = self.clock.now();
        let answer = match answer {
            PermissionReply::Allowed if !self.has_room(name, now) => {
                PermissionReply::None(format!("{PERMITS_MAX} names were permitted within the hour, which is enough"))
            }
            answer => answer,
        };
        let verdict = match answer {
            PermissionReply::Allowed => {
                tracing::info!(name, "a certificate on demand was permitted");
                self.names.insert(name.into(), now + PERMIT_LIFETIME);
                self.troubles.unanswered = None;
                DemandDecision::Allowed
            }
            PermissionReply::Refused(status) => {
                tracing::debug!(name, %status, "a certificate on demand was refused");
                self.troubles.unanswered = None;
                note(&mut self.troubles.refused, now, || (name.into(), format!("answered {status}")));
                DemandDecision::Refused
            }
            PermissionReply::None(error) => {
                tracing::debug!(name, error, "nobody said whether a certificate may be had on demand");
                note(&mut self.troubles.unanswered, now, || (name.into(), error));
                DemandDecision::Unknown
            }
        };
        // Publish the permission before the decision: a waiting handshake must find that an order is under way.
        if verdict == DemandDecision::Allowed {
            self.publish();
        }
        self.demand.decide(name, verdict, Instant::now().into_std());
    }

    fn has_room(&mut self, name: &str, now: UnixTime) -> bool {
        self.names.retain(|_, until| (now..=now + PERMIT_LIFETIME).contains(until));
        self.names.len() < PERMITS_MAX || self.names.contains_key(name)
    }

    /// Publishes the findings of the last hour, and drops older ones.
    fn tell(&mut self) {
        let now = self.clock.now();
        let overrun = self.demand.counts().overrun;
        if overrun > self.troubles.overrun_told {
            self.troubles.overrun_told = overrun;
            note(&mut self.troubles.overrun, now, || ("".into(), String::new()));
        }
        self.troubles.forget(now);
        if self.permits.reader().load().findings != self.findings() {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.permits.publish(Permits { names: self.names.clone(), findings: self.findings() });
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let asked = shown(&self.settings.ask);
        self.troubles.findings(asked)
    }
}

/// Recent failures. Of each kind only the first within an hour is kept: names come from strangers, and each new
/// wording would be another line of the log.
#[derive(Debug, Default)]
struct OnDemandTroubles {
    refused: Option<OnDemandTrouble>,
    unanswered: Option<OnDemandTrouble>,
    overrun: Option<OnDemandTrouble>,
    overrun_told: u64,
}

#[derive(Debug)]
struct OnDemandTrouble {
    name: Box<str>,
    detail: String,
    since: UnixTime,
}

fn note(trouble: &mut Option<OnDemandTrouble>, now: UnixTime, first: impl FnOnce() -> (Box<str>, String)) {
    trouble.get_or_insert_with(|| {
        let (name, detail) = first();
        OnDemandTrouble { name, detail, since: now }
    });
}

impl OnDemandTroubles {
    fn forget(&mut self, now: UnixTime) {
        for trouble in [&mut self.refused, &mut self.unanswered, &mut self.overrun] {
            trouble.take_if(|trouble| now < trouble.since || now.since(trouble.since) >= TOLD_FOR);
        }
    }

    fn findings(&self, asked: &str) -> Vec<Diagnostic> {
        let refused = self.refused.as_ref().map(|OnDemandTrouble { name, detail, since }| {
            Diagnostic::warning(
                codes::ON_DEMAND_REFUSED,
                Place::Name("on-demand".into()),
                format!("{asked} {detail} when asked whether `{name}` may have a certificate"),
            )
            .with_help("nothing, if it is not to be served; else look at what is asked there")
            .with_effect(format!(
                "the handshake is ended by an alert; others of the hour since {} are not told",
                moment(*since)
            ))
        });
        let unanswered = self.unanswered.as_ref().map(|OnDemandTrouble { name, detail, .. }| {
            Diagnostic::error(
                codes::ON_DEMAND_UNANSWERED,
                Place::Name("on-demand".into()),
                format!("{asked} did not say whether `{name}` may have a certificate: {detail}"),
            )
            .with_help("look at `--on-demand` and at who should answer there")
            .with_effect(
                "no new name gets a certificate on demand and none that was got so is renewed; those stored are served",
            )
        });
        let overrun = self.overrun.as_ref().map(|OnDemandTrouble { since, .. }| {
            Diagnostic::warning(
                codes::ON_DEMAND_OVERRUN,
                Place::Name("on-demand".into()),
                format!("more names were wanted on demand than can be asked about, since {}", moment(*since)),
            )
            .with_help("look who asks for so many: a scanner is no harm, an application that answers slowly is")
            .with_effect("the names beyond that are refused by an alert; certificates that are stored are served")
        });
        [refused, unanswered, overrun].into_iter().flatten().collect()
    }
}

/// The URL to ask about a name.
fn url(ask: &str, name: &str) -> String {
    let ask = ask.split('#').next().unwrap_or(ask);
    let separator = if ask.contains('?') { '&' } else { '?' };
    format!("{ask}{separator}domain={name}")
}

/// The URL without its parts that may hold a secret.
fn shown(ask: &str) -> &str {
    let host = ask.split_once("://").map_or(ask, |(_, rest)| rest);
    let host = host.split(['?', '#']).next().unwrap_or(host);
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

/// Asks the URL for permission. Redirects are not followed: only the configured service decides.
async fn answer(http: &Http, url: &str) -> PermissionReply {
    let request = match Request::builder().uri(url).body(instant_acme::BodyWrapper::default()) {
        Ok(request) => request,
        Err(error) => return PermissionReply::None(error.to_string()),
    };
    let of = |status: StatusCode| match status {
        status if status.is_success() => PermissionReply::Allowed,
        status if status.is_server_error() => PermissionReply::None(format!("it answered {status}")),
        status => PermissionReply::Refused(status),
    };
    match http.send(request).await {
        Ok(response) => of(response.status()),
        Err(instant_acme::Error::Other(other)) => match other.downcast_ref::<Refused>() {
            Some(refused) => of(refused.status),
            None => PermissionReply::None(other.to_string()),
        },
        Err(error) => PermissionReply::None(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_added_to_whatever_the_url_asks_already() {
        assert_eq!(url("http://app:1/ask", "a.org"), "http://app:1/ask?domain=a.org");
        assert_eq!(url("http://app:1/ask?key=x#y", "a.org"), "http://app:1/ask?key=x&domain=a.org");
    }

    #[test]
    fn what_may_be_a_secret_is_not_told() {
        assert_eq!(shown("https://me:secret@app.example/ask?key=secret#secret"), "app.example/ask");
    }

    #[test]
    fn of_many_refusals_one_is_told_an_hour() {
        let mut troubles = OnDemandTroubles::default();
        let mut told = BTreeSet::new();
        for second in 0..2 * TOLD_FOR.as_secs() {
            let now = UnixTime::EPOCH + Duration::from_secs(second);
            troubles.forget(now);
            note(&mut troubles.refused, now, || (format!("n{second}.org").into(), "answered 404".into()));
            told.extend(troubles.findings("app/ask").into_iter().map(|finding| finding.message));
        }
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
