//! The program: its version, its settings and where each of them comes from.

use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::extent::Page;
use super::frame::{EVENTS, Follows, Part, View};
use super::parts::{ago, fact, shown, state, told};
use crate::api::{LimitView, SettingView, StatusResponse};

/// What the view of the program shows.
pub(crate) struct AboutFacts<'f> {
    pub(crate) status: &'f StatusResponse,
    pub(crate) settings: &'f [SettingView],
    pub(crate) limits: &'f [LimitView],
    pub(crate) internal_root: Option<&'f str>,
    pub(crate) now: UnixTime,
}

pub(super) fn view(facts: &AboutFacts<'_>) -> View {
    View {
        title: "About".to_owned(),
        page: Some(Page::About),
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![
            Part::new("program", Follows::Table, program(facts)),
            Part::new("settings", Follows::Nothing, settings(facts.settings)),
            Part::new("limits", Follows::Nothing, limits(facts.limits)),
            Part::new("root", Follows::Nothing, root(facts.internal_root)),
            Part::new("licence", Follows::Nothing, licence()),
        ],
        aside: Vec::new(),
    }
}

fn program(facts: &AboutFacts<'_>) -> Markup {
    let status = facts.status;
    html! {
        dl.facts.broad {
            (fact("version", &html! { "Gangway " (status.version) }))
            (fact("phase", &state(&status.phase)))
            (fact("running since", &html! { (ago(&status.started, facts.now)) " " small { (status.started) } }))
            @if !status.listening.admin.is_empty() {
                (fact("admin listener", &html! { code { (status.listening.admin) } }))
            }
            @for listener in &status.listening.listeners {
                (fact(&listener.name, &html! {
                    @for address in &listener.addresses { code { (address) } " " }
                    (listener.protocol.word())
                    @if let Some(port) = listener.port { ", clients use port " (port) }
                }))
            }
            @if let Some(config) = &status.config { (fact("config file", &html! { code { (told(&config.file)) } })) }
        }
    }
}

fn settings(settings: &[SettingView]) -> Markup {
    html! {
        @if !settings.is_empty() {
            section aria-labelledby="settings-h" {
                h2 #settings-h { "Settings in force" }
                table {
                    thead {
                        tr { th scope="col" { "setting" } th scope="col" { "value" } th scope="col" { "from" } }
                    }
                    tbody {
                        @for one in settings {
                            tr {
                                th scope="row" { code { (one.name) } }
                                td { @for value in &one.values { div { code { (told(value)) } } } }
                                td { (shown(&one.from)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn limits(limits: &[LimitView]) -> Markup {
    html! {
        @if !limits.is_empty() {
            section aria-labelledby="limits-h" {
                h2 #limits-h { "Limits" }
                dl.facts.broad { @for one in limits { (fact(&one.name, &html! { (one.value) })) } }
            }
        }
    }
}

fn root(pem: Option<&str>) -> Markup {
    html! {
        @if let Some(pem) = pem {
            section aria-labelledby="root-h" {
                h2 #root-h { "Root of the internal CA" }
                p { "A client that trusts this certificate trusts all names of the internal CA. It is public." }
                details { summary { "Show the certificate" } pre tabindex="0" { code { (pem) } } }
            }
        }
    }
}

fn licence() -> Markup {
    html! {
        section aria-labelledby="licence-h" {
            h2 #licence-h { "Licence" }
            p { "Gangway is free software under the Apache License 2.0. What it stands on is under that licence, or under "
                "the MIT, BSD, ISC, Zlib, Boost, Unicode, CDLA-Permissive or CC0 licences." }
        }
    }
}
