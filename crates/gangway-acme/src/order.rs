//! One order from its beginning to a certificate on the volume, under one lease.
//!
//! State that must survive a crash is written before the step that depends on it: the certificate's key before the
//! order, the order's URL before the challenges. A restart resumes the order where it stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gangway_tls::UnixTime;
use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order as AcmeOrder,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::account::{Accounts, OpenAccount};
use crate::challenge::{Presented, Solver};
use crate::clock::Clock;
use crate::dns::{Dns, TxtRecord};
use crate::failure::{Failure, FailureKind};
use crate::order_history::{self, OpenOrder, OrderHistory};
use crate::repeat::repeat;
use crate::schedule::{CertificateOrder, interrupted, retry_time};
use crate::settings::{AcmeSettings, ChallengeKind};
use crate::storage::{Storage, safe_name, while_held};
use crate::stored_certificate::{self, StoredCertificate};

/// A validation from several places takes a minute at worst, and CAs under load take their time.
const DECISION_MAX: Duration = Duration::from_secs(180);
const FIRST_POLL: Duration = Duration::from_millis(250);

/// Interval between looks at a decision on which further challenges wait.
const DECISION_POLL: Duration = Duration::from_millis(500);

/// The services that an order uses.
#[derive(Clone)]
pub(crate) struct OrderServices<S> {
    pub(crate) storage: S,
    pub(crate) accounts: Accounts<S>,
    pub(crate) solver: Solver,
    /// `None` if no DNS provider is given.
    pub(crate) dns: Option<Dns<S>>,
    pub(crate) settings: Arc<AcmeSettings>,
    pub(crate) clock: Clock,
}

/// The outcome of an order.
#[derive(Debug)]
pub(crate) enum OrderOutcome {
    /// A new certificate, with the text of its file if that could not be written.
    Issued {
        stored: StoredCertificate,
        unsaved: Option<String>,
        history: OrderHistory,
    },
    /// Another instance has obtained a certificate.
    Found {
        stored: StoredCertificate,
        history: OrderHistory,
    },
    /// Another instance is ordering the certificate, or has just failed to.
    Elsewhere {
        history: Option<OrderHistory>,
    },
    Failed {
        failure: Failure,
        history: OrderHistory,
    },
}

/// Obtains a certificate, or reports why not.
pub(crate) async fn obtain<S: Storage>(
    services: OrderServices<S>,
    order: CertificateOrder,
    known: Option<StoredCertificate>,
    history: OrderHistory,
) -> OrderOutcome {
    let lease = match services.storage.lock(&format!("certificate-{}", safe_name(&order.name))).await {
        Ok(None) => return OrderOutcome::Elsewhere { history: None },
        Ok(lease) => lease,
        // Another instance may order as well, since neither can see the other.
        Err(error) if order.may_be_lost => {
            tracing::warn!(name = &*order.name, %error, "ordering a certificate that cannot be kept");
            None
        }
        Err(error) => return OrderOutcome::Failed { failure: error.into(), history },
    };
    let mut attempt =
        OrderAttempt { services: &services, order: &order, lease: lease.as_ref(), history, records: Vec::new() };
    let outcome = match &lease {
        Some(lease) => while_held(&services.storage, lease, attempt.run(known.as_ref())).await,
        None => Some(attempt.run(known.as_ref()).await),
    };
    let outcome = outcome.unwrap_or(OrderOutcome::Elsewhere { history: None });
    // Records are removed whatever the outcome.
    attempt.remove_records().await;
    outcome
}

struct OrderAttempt<'a, S: Storage> {
    services: &'a OrderServices<S>,
    order: &'a CertificateOrder,
    /// `None` if no lease can be had and the certificate may be lost.
    lease: Option<&'a S::Lease>,
    history: OrderHistory,
    /// Records in the DNS that must be removed again.
    records: Vec<TxtRecord>,
}

impl<S: Storage> OrderAttempt<'_, S> {
    async fn run(&mut self, known: Option<&StoredCertificate>) -> OrderOutcome {
        // Read again under the lease: another instance may have been faster, or have failed since.
        if let Some(stored) = self.newer_than(known).await {
            return OrderOutcome::Found { stored, history: self.stored_history().await.unwrap_or_default() };
        }
        if let Some(history) = self.stored_history().await {
            // No other instance is ordering, since we have the lease.
            let history = interrupted(&self.order.name, history, self.services.clock.now());
            let later = history.attempts.get(&self.order.directory).map_or(UnixTime::EPOCH, |attempts| attempts.next);
            if later > self.services.clock.now() && history != self.history {
                return OrderOutcome::Elsewhere { history: Some(history) };
            }
            self.history = history;
        }
        match self.certificate().await {
            Ok((chain, key, account)) => self.keep(&chain, &key, &account).await,
            Err(failure) => {
                // Note the failure while we hold the lease, or another instance would try at once.
                if !failure.kind.is_of_the_ca() {
                    self.note_failure(&failure).await;
                } else if self.history.drop_unplaced(&self.order.directory) {
                    // Otherwise the next look would take it for an order that was interrupted.
                    let _ = self.note().await;
                }
                OrderOutcome::Failed { failure, history: std::mem::take(&mut self.history) }
            }
        }
    }

    async fn note_failure(&mut self, failure: &Failure) {
        let directory = &self.order.directory;
        let failures = self.history.attempts.get(directory).map_or(0, |attempts| attempts.failures) + 1;
        let now = self.services.clock.now();
        let next = retry_time(&self.order.name, failures, failure.kind, failure.retry_at, now);
        self.history.fail(directory, failure.clone(), next);
        if let Err(failure) = self.note().await {
            tracing::warn!(error = failure.detail, "failed to note a failure, which a restart would forget");
        }
    }

    async fn newer_than(&self, known: Option<&StoredCertificate>) -> Option<StoredCertificate> {
        let text = self.services.storage.get(&stored_certificate::key_for(&self.order.name)).await.ok()??;
        let stored = StoredCertificate::read(&String::from_utf8_lossy(&text)).ok()?;
        let carries_all = self.order.names.iter().all(|name| stored.bundle.names.contains(name));
        let is_newer = known.is_none_or(|known| stored.bundle.not_after > known.bundle.not_after);
        (carries_all && is_newer && stored.bundle.is_valid_at(self.services.clock.now())).then_some(stored)
    }

    async fn stored_history(&self) -> Option<OrderHistory> {
        let text = self.services.storage.get(&order_history::key_for(&self.order.name)).await.ok()??;
        OrderHistory::read(&String::from_utf8_lossy(&text)).ok().map(|(_, history)| history)
    }

    /// Runs the order and returns the chain, the key and the URL of the account.
    async fn certificate(&mut self) -> Result<(String, String, String), Failure> {
        let directory = &self.order.directory;
        let open = self.services.accounts.get(directory).await?;
        let (mut order, key) = match self.resumed(&open).await? {
            Some(resumed) => resumed,
            None => self.begun(&open).await?,
        };
        // The account may have been made anew just now.
        let open = self.services.accounts.get(directory).await?;
        let decided = self.prove(&mut order, &open.thumbprint).await?;
        if decided == OrderStatus::Ready {
            let csr = request(&self.order.names, &key)?;
            repeat!(order.finalize_csr(&csr))?;
        }
        let policy = RetryPolicy::new().initial_delay(FIRST_POLL).backoff(1.5).timeout(DECISION_MAX);
        let chain = repeat!(order.poll_certificate(&policy))?;
        Ok((chain, key, open.account.id().to_owned()))
    }

    /// The order that was under way when the process stopped, if the CA still knows it.
    async fn resumed(&mut self, open: &OpenAccount) -> Result<Option<(AcmeOrder, String)>, Failure> {
        let begun = self.history.orders.get(&self.order.directory).filter(|begun| !begun.url.is_empty());
        let Some(begun) = begun.cloned() else { return Ok(None) };
        match repeat!(open.account.order(begun.url.to_string())) {
            Ok(mut order) => {
                let is_open = order.state().status != OrderStatus::Invalid;
                Ok(is_open.then(|| (order, begun.key.to_string())))
            }
            // The CA refuses to show the order, for whatever reason: it cannot be resumed.
            Err(error) if is_about_the_order(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn begun(&mut self, open: &OpenAccount) -> Result<(AcmeOrder, String), Failure> {
        let directory = self.order.directory.clone();
        // A key from an order that the CA never got can be used now.
        let unused = self.history.orders.remove(&directory).filter(|begun| begun.url.is_empty());
        let unused = unused.map(|begun| begun.key.to_string());
        let key = match unused.filter(|key| KeyPair::from_pem(key).is_ok()) {
            Some(key) => key,
            None => KeyPair::generate().map_err(|error| internal(&error))?.serialize_pem(),
        };
        let begun = self.services.clock.now();
        let unplaced = OpenOrder { url: "".into(), key: key.as_str().into(), begun };
        self.history.orders.insert(directory.clone(), unplaced);
        // This write also proves that the volume can be written, before anything is spent.
        self.note().await?;
        let order = match self.place(open, self.order.replaces.as_deref()).await {
            Err(error) if Failure::from(&error).is_account_gone(&error) => {
                self.services.accounts.forget(&directory).await?;
                let open = self.services.accounts.get(&directory).await?;
                self.place(&open, None).await?
            }
            // Whatever the CA has against `replaces`, the order is more important. If the cause was another one,
            // the CA will repeat it.
            Err(error) if self.order.replaces.is_some() && is_about_the_order(&error) => {
                tracing::info!(name = &*self.order.name, %error, "the CA refused to replace the old certificate; asked without");
                self.history.attempts.entry(directory.clone()).or_default().without_replaces = true;
                self.place(open, None).await?
            }
            placed => placed?,
        };
        let placed = OpenOrder { url: order.url().into(), key: key.as_str().into(), begun };
        self.history.orders.insert(directory, placed);
        self.note().await?;
        Ok((order, key))
    }

    async fn place(&self, open: &OpenAccount, replaces: Option<&str>) -> Result<AcmeOrder, Error> {
        let identifier = |name: &str| name.parse().map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip);
        let identifiers: Vec<Identifier> = self.order.names.iter().map(|name| identifier(name)).collect();
        let profiles = &open.directory.meta.profiles;
        let has_address = identifiers.iter().any(|identifier| matches!(identifier, Identifier::Ip(_)));
        // Let's Encrypt gives addresses only certificates that are valid for six days.
        let profile = self.services.settings.profile.as_deref().or(has_address.then_some("shortlived"));
        let profile = profile.filter(|profile| profiles.contains_key(*profile));
        let replaces = replaces.filter(|_| open.directory.renewal_info.is_some()).and_then(|id| id.split_once('.'));
        repeat!(async {
            let mut order = NewOrder::new(&identifiers);
            if let Some(profile) = profile {
                order = order.profile(profile);
            }
            if let Some((authority, serial)) = replaces {
                let authority_key_identifier = authority.into();
                order = order.replaces(CertificateIdentifier { authority_key_identifier, serial: serial.into() });
            }
            open.account.new_order(&order).await
        })
    }

    /// Answers every challenge and waits until the CA has decided.
    async fn prove(&mut self, order: &mut AcmeOrder, thumbprint: &str) -> Result<OrderStatus, Failure> {
        if order.state().status != OrderStatus::Pending {
            return Ok(order.state().status);
        }
        fetch_authorizations(order).await?;
        let mut presented = Vec::new();
        while self.present_some(order, (thumbprint, &mut presented)).await? == Remaining::Later {
            self.remove_records().await;
        }
        let policy = RetryPolicy::new().initial_delay(FIRST_POLL).backoff(1.5).timeout(DECISION_MAX);
        let decided = repeat!(order.poll_ready(&policy));
        let outcome = match decided {
            Ok(status) if status != OrderStatus::Invalid => Ok(status),
            Ok(_) => {
                Err(reason(order).await.unwrap_or_else(|| Failure::new(FailureKind::Confused, "the CA gave no reason")))
            }
            Err(error) => Err(reason(order).await.unwrap_or_else(|| error.into())),
        };
        drop(presented);
        outcome
    }

    /// Presents all answers that are possible at once, and tells the CA that they are ready. If the DNS provider
    /// keeps only one value at a name, that is one record, and this waits for the CA's decision about it.
    async fn present_some(
        &mut self,
        order: &mut AcmeOrder,
        (thumbprint, presented): (&str, &mut Vec<Presented>),
    ) -> Result<Remaining, Failure> {
        let is_single = self.services.dns.as_ref().is_some_and(Dns::is_single);
        let mut chosen: HashMap<String, ChallengeKind> = HashMap::new();
        let mut rest = Remaining::Nothing;
        // All challenges are in force before the first one is reported ready to the CA.
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let kind = self.choose(&authorization)?;
            if kind == ChallengeKind::Dns01 && is_single && !self.records.is_empty() {
                rest = Remaining::Later;
                continue;
            }
            chosen.insert(authorization.url().to_owned(), kind);
            let challenge = authorization.challenge(wire(kind)).expect("it was chosen from what there is");
            self.present(kind, &challenge, (thumbprint, presented)).await?;
        }
        if let Some(dns) = &self.services.dns {
            dns.wait(&self.records).await;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if let Some(kind) = chosen.get(authorization.url()) {
                let mut challenge = authorization.challenge(wire(*kind)).expect("it was chosen from what there is");
                repeat!(challenge.set_ready())?;
            }
        }
        if rest == Remaining::Later {
            let decided = async {
                while has_undecided(order, &chosen).await? {
                    tokio::time::sleep(DECISION_POLL).await;
                }
                Ok::<_, Failure>(())
            };
            // If the decision does not come in time, `poll_ready` fails as well and reports it.
            let _ = tokio::time::timeout(DECISION_MAX, decided).await;
        }
        Ok(rest)
    }

    async fn remove_records(&mut self) {
        let Some(dns) = &self.services.dns else { return };
        for record in self.records.drain(..) {
            dns.remove(record).await;
        }
    }

    /// Chooses another kind of challenge after each failure, among those that both sides support.
    fn choose(&self, authorization: &instant_acme::AuthorizationState) -> Result<ChallengeKind, Failure> {
        let offered =
            |kind: &ChallengeKind| authorization.challenges.iter().any(|challenge| challenge.r#type == wire(*kind));
        let possible: Vec<_> = self.services.settings.possible_challenges().into_iter().filter(offered).collect();
        if possible.is_empty() {
            let offered: Vec<String> =
                authorization.challenges.iter().map(|challenge| format!("{:?}", challenge.r#type)).collect();
            let words = format!("the CA offers {} for `{}`", offered.join(", "), authorization.identifier());
            return Err(Failure::new(FailureKind::NoChallenge, words));
        }
        Ok(possible[self.order.failures as usize % possible.len()])
    }

    async fn present(
        &mut self,
        kind: ChallengeKind,
        challenge: &instant_acme::ChallengeHandle<'_>,
        (thumbprint, presented): (&str, &mut Vec<Presented>),
    ) -> Result<(), Failure> {
        // The protocol crate knows the thumbprint of its own keys alone.
        let answer = format!("{}.{thumbprint}", challenge.token);
        let digest = digest(&SHA256, answer.as_bytes());
        let name = challenge.identifier().to_string();
        match (kind, &self.services.dns) {
            (ChallengeKind::Http01, _) => {
                presented.push(self.services.solver.present_http(&name, &challenge.token, &answer)?);
            }
            (ChallengeKind::TlsAlpn01, _) => {
                presented.push(self.services.solver.present_tls(&name, digest.as_ref())?);
            }
            (ChallengeKind::Dns01, Some(dns)) => {
                // The wildcard and its base name use the same record.
                let name = gangway_tls::without_star(&name);
                self.records.push(dns.present(name, &BASE64_URL_SAFE_NO_PAD.encode(digest)).await?);
            }
            (ChallengeKind::Dns01, None) => {
                return Err(Failure::new(FailureKind::NoChallenge, "no DNS provider is given"));
            }
        }
        Ok(())
    }

    /// Checks the certificate that the CA issued and writes it to the volume.
    async fn keep(&mut self, chain: &str, key: &str, account: &str) -> OrderOutcome {
        let order = self.order;
        let useless =
            |detail: String| Failure::new(FailureKind::Confused, format!("the CA gave a certificate {detail}"));
        let checked = StoredCertificate::new(chain, key, &order.directory, account)
            .map_err(|error| useless(format!("that is none: {error}")));
        let checked =
            checked.and_then(|stored| match order.names.iter().find(|name| !stored.bundle.names.contains(*name)) {
                Some(missing) => Err(useless(format!("without `{missing}`"))),
                None => Ok(stored),
            });
        let stored = match checked {
            Ok(stored) => stored,
            Err(failure) => {
                self.history.orders.remove(&order.directory);
                self.note_failure(&failure).await;
                return OrderOutcome::Failed { failure, history: std::mem::take(&mut self.history) };
            }
        };
        let text = stored_certificate::write(chain, key, &order.directory, account);
        let unsaved = match self.lease {
            Some(lease) => {
                let key = stored_certificate::key_for(&order.name);
                let written = self.services.storage.put(&key, text.clone().into_bytes(), lease).await;
                written
                    .inspect_err(|error| tracing::error!(%error, "failed to keep a new certificate"))
                    .err()
                    .map(|_| text)
            }
            None => Some(text),
        };
        self.history.succeed(self.services.clock.now());
        // If this note fails, the next restart only looks at an order that is done.
        let _ = self.note().await;
        OrderOutcome::Issued { stored, unsaved, history: std::mem::take(&mut self.history) }
    }

    async fn note(&self) -> Result<(), Failure> {
        let Some(lease) = self.lease else { return Ok(()) };
        let text = self.history.write(&self.order.name).into_bytes();
        match self.services.storage.put(&order_history::key_for(&self.order.name), text, lease).await {
            Err(error) if self.order.may_be_lost => {
                tracing::debug!(%error, "failed to note an attempt, which a restart would forget");
                Ok(())
            }
            written => Ok(written?),
        }
    }
}

/// The challenges that remain after a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Remaining {
    Nothing,
    Later,
}

/// Whether the CA has not yet decided about one of the challenges that were reported ready.
async fn has_undecided(order: &mut AcmeOrder, told: &HashMap<String, ChallengeKind>) -> Result<bool, Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if told.contains_key(authorization.url()) {
            repeat!(async { authorization.refresh().await.map(drop) })?;
            if authorization.status == AuthorizationStatus::Pending {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Fetches the state of each authorization. It starts again after a refused nonce, since the iterator does not
/// return an authorization a second time.
async fn fetch_authorizations(order: &mut AcmeOrder) -> Result<(), Failure> {
    let fetched = repeat!(async {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            authorization?;
        }
        Ok::<_, Error>(())
    });
    Ok(fetched?)
}

/// The CA's finding at the name; most CAs state it in the authorization and not in the order.
async fn reason(order: &mut AcmeOrder) -> Option<Failure> {
    fetch_authorizations(order).await.ok()?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        repeat!(async { authorization.refresh().await.map(drop) }).ok()?;
        let error = authorization.challenges.iter().find_map(|challenge| {
            let error = challenge.error.as_ref()?;
            let kind = match challenge.r#type {
                ChallengeType::Http01 => "HTTP-01",
                ChallengeType::TlsAlpn01 => "TLS-ALPN-01",
                ChallengeType::Dns01 => "DNS-01",
                _ => "another challenge",
            };
            Some((kind, Failure::from_problem(error)))
        });
        if let Some((kind, failure)) = error {
            return Some(Failure { detail: format!("{} ({kind})", failure.detail), ..failure });
        }
    }
    None
}

/// Whether the refusal is about the order, not about the client.
fn is_about_the_order(error: &Error) -> bool {
    match error {
        Error::Api(_) => !matches!(Failure::from(error).kind, FailureKind::RateLimited | FailureKind::Busy),
        // The CA accepted the order without repeating `replaces`.
        Error::Other(_) => Failure::from(error).kind == FailureKind::Confused,
        _ => false,
    }
}

fn request(names: &[Box<str>], key: &str) -> Result<Vec<u8>, Failure> {
    let key = KeyPair::from_pem(key).map_err(|error| internal(&error))?;
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
        .map_err(|error| internal(&error))?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key).map_err(|error| internal(&error))?.der().to_vec())
}

fn wire(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
    }
}

fn internal(error: &rcgen::Error) -> Failure {
    Failure::new(FailureKind::Confused, format!("failed to make a key or a request: {error}"))
}
