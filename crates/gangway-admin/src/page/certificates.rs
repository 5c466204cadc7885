//! Certificates in force and missing.

use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::extent::Page;
use super::frame::{EVENTS, Follows, Part, View};
use super::overview::days_left;
use super::parts::{self, Paged, ago, count, shown, state, told};
use super::query::PageQuery;
use super::{figures, findings};
use crate::api::{CertificateView, IssuerView};

/// The kinds of certificates by which the list is filtered.
const KINDS: [&str; 5] = ["trouble", "acme", "folder", "internal", "placeholder"];

/// What the view of certificates shows.
pub(crate) struct CertificatesFacts<'f> {
    pub(crate) certificates: &'f [CertificateView],
    pub(crate) issuers: &'f [IssuerView],
    pub(crate) now: UnixTime,
}

pub(super) fn view(facts: &CertificatesFacts<'_>, query: &PageQuery) -> View {
    View {
        title: "Certificates".to_owned(),
        page: Some(Page::Certificates),
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![
            Part::new("filter", Follows::Nothing, parts::filter("list", query, "Filter names", &KINDS)),
            Part::new("list", Follows::Table, list(facts, query)),
            Part::new("issuers", Follows::Table, issuers(facts)),
        ],
        aside: Vec::new(),
    }
}

fn list(facts: &CertificatesFacts<'_>, query: &PageQuery) -> Markup {
    let is_taken = |one: &&CertificateView| {
        let is_kind = match &*query.state {
            "" => true,
            "trouble" => one.trouble.is_some(),
            kind => one.origin.as_deref() == Some(kind),
        };
        is_kind && query.takes([&*one.name, &one.issuer])
    };
    let mut certificates: Vec<&CertificateView> = facts.certificates.iter().filter(is_taken).collect();
    certificates.sort_by_key(|one| (one.trouble.is_none(), &one.name));
    let paged = Paged::of(&certificates, query);
    html! {
        @if certificates.is_empty() {
            p.empty {
                @if facts.certificates.is_empty() { "No name needs a certificate yet." }
                @else { "No name matches the filter." }
            }
        } @else {
            (table(paged.rows, facts.now))
            (paged.links(query))
        }
    }
}

fn issuers(facts: &CertificatesFacts<'_>) -> Markup {
    html! {
        @if !facts.issuers.is_empty() {
            section aria-labelledby="issuers-h" {
                h2 #issuers-h { "Public CAs" }
                table {
                    thead {
                        tr {
                            th scope="col" { "name" }
                            th scope="col" { "state" }
                            th.n scope="col" { "certificates" }
                            th.mid scope="col" { "next attempt" }
                            th.wide scope="col" { "directory" }
                        }
                    }
                    tbody { @for one in facts.issuers { (issuer(one, facts.now)) } }
                }
            }
        }
    }
}

fn issuer(issuer: &IssuerView, now: UnixTime) -> Markup {
    html! {
        tr {
            th scope="row" { (shown(&issuer.name)) (findings::trouble(issuer.trouble.as_deref())) }
            td { (state(&issuer.state)) }
            td.n { (count(issuer.certificates as u64)) }
            td.mid { @match &issuer.next { Some(next) => (ago(next, now)), None => (figures::nothing()) } }
            td.wide { code { (told(&issuer.directory)) } }
        }
    }
}

/// The certificates as a table.
pub(super) fn table(certificates: &[&CertificateView], now: UnixTime) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "name" }
                    th scope="col" { "source" }
                    th.n scope="col" { "left" }
                    th.wide scope="col" { "issuer" }
                    th.mid scope="col" { "next" }
                }
            }
            tbody {
                @for one in certificates {
                    tr {
                        th scope="row" {
                            (shown(&one.name))
                            @if one.on_demand { small { "on demand" } }
                            (findings::trouble(one.trouble.as_deref()))
                        }
                        td { (source(one)) }
                        td.n { (days_left(one)) @if let Some(end) = &one.not_after { small { (day(end)) } } }
                        td.wide {
                            (told(&one.issuer))
                            @if !one.serial.is_empty() { small { code { (shown(&one.serial)) } } }
                            @for behind in &one.chain {
                                small { "chain: " (told(&behind.subject)) " until " (day(&behind.not_after)) }
                            }
                        }
                        td.mid {
                            @match &one.next { Some(next) => (ago(next, now)), None => (figures::nothing()) }
                            @if let Some((from, to)) = &one.renewal_window {
                                small { "window " (day(from)) " – " (day(to)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn source(certificate: &CertificateView) -> Markup {
    html! {
        @match (certificate.origin.as_deref(), &certificate.file) {
            (Some("acme"), _) => "authority (ACME)",
            (Some("internal"), _) => "internal CA",
            (Some("placeholder"), _) => "placeholder",
            (_, Some(file)) => { "file " code { (shown(file)) } },
            (Some(other), None) => (shown(other)),
            (None, None) => (figures::nothing()),
        }
    }
}

/// The day of an instant.
fn day(at: &str) -> Markup {
    html! { time datetime=(at) title=(at) { (at.get(..10).unwrap_or(at)) } }
}
