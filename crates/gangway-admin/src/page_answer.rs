//! Reads what the views of the page show, at the moment of asking.

use std::net::SocketAddr;

use gangway_model::Compiled;
use gangway_publish::Published;
use http::{Method, Response};
use hyper::body::Bytes;

use crate::allowed_hosts::AllowedHosts;
use crate::answer::{Answers, Sources, containers, refused};
use crate::api;
use crate::page::{
    self, AboutFacts, CertificatesFacts, ContainersFacts, ExplainFacts, ExplainForm, Extent, Facts, Frame, LogFacts,
    OverviewFacts, Page, PageQuery, SiteFacts, StartFacts, Updates, explain_query,
};
use crate::views;

/// The folders of a path that is answered with links to the root.
const DEPTH_MAX: usize = 32;

impl Answers {
    /// Answers for the page behind a route, which has checked the host.
    pub(crate) fn behind_a_route(sources: Sources) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            sources,
            allowed_hosts: AllowedHosts::new(nowhere, Vec::new(), None),
            address: String::new(),
            updates: Updates::Asked,
        }
    }

    fn frame(&self, extent: Extent) -> Frame {
        Frame { updates: self.updates, extent, depth: 0 }
    }

    /// The answer of the page where there is nothing else, such as the API.
    pub(crate) fn page_alone(&self, method: &Method, path: &str, query: &str, extent: Extent) -> Response<String> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return refused();
        }
        match Page::at(path).filter(|page| extent.has(*page)) {
            Some(page) => self.page(page, &self.sources.compiled.load_full(), query, extent),
            None => page::asset(path)
                .unwrap_or_else(|| nowhere(path, self.frame(extent), "the overview leads to all views")),
        }
    }

    /// The answer of the start page where there is nothing else.
    pub(crate) fn start_page_alone(&self, method: &Method, path: &str, query: &str) -> Response<Bytes> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return refused().map(Bytes::from);
        }
        let icons = self.sources.instance.icons();
        if let Some(icon) = icons.at(path) {
            return icon;
        }
        let frame = self.frame(Extent::Household);
        let answer = if path == "/" {
            let compiled = self.sources.compiled.load_full();
            let (status, routes) = (self.status(&compiled), self.routes(&compiled).routes);
            let facts = Facts::Start(StartFacts { status: &status, routes: &routes, icons: &icons });
            page::answer(&facts, &PageQuery::parse(query), frame)
        } else {
            page::asset(path).unwrap_or_else(|| nowhere(path, frame, "the start page leads to all applications"))
        };
        answer.map(Bytes::from)
    }

    /// The answer with a view of the page.
    pub(crate) fn page(
        &self,
        page: Page,
        compiled: &Published<Compiled>,
        query: &str,
        extent: Extent,
    ) -> Response<String> {
        let asked = PageQuery::parse(query);
        let show = |facts: &Facts<'_>| page::answer(facts, &asked, self.frame(extent));
        let instance = &self.sources.instance;
        let now = instance.now();
        let status = || self.status(compiled);
        let routes = || self.routes(compiled).routes;
        let findings = || self.diagnostics(compiled).iter().map(views::diagnostic).collect::<Vec<_>>();
        match page {
            Page::Overview => {
                let (figures, changes) = (instance.figures().routes, instance.changes().changes);
                let held = self.certificates();
                let facts = OverviewFacts {
                    status: &status(),
                    routes: &routes(),
                    certificates: &held.certificates,
                    issuers: &held.issuers,
                    diagnostics: &findings(),
                    figures: &figures,
                    changes: &changes,
                    now,
                };
                show(&Facts::Overview(facts))
            }
            Page::Site => {
                let routes = routes();
                let Some(route) = page::route(&routes, &asked.route) else {
                    let missing = api::ErrorResponse {
                        error: "there is no such route".to_owned(),
                        help: "it may have gone; the overview lists those in force".to_owned(),
                    };
                    return show(&Facts::Missing(&missing));
                };
                let figures = instance.figures().routes;
                let requests = extent.has_details().then(|| instance.requests(&route.id).requests);
                let facts = SiteFacts {
                    route,
                    status: &status(),
                    containers: &containers(compiled).containers,
                    certificates: &self.certificates().certificates,
                    diagnostics: &findings(),
                    figures: figures.iter().find(|figures| figures.route == route.id),
                    requests: requests.as_deref(),
                    now,
                };
                show(&Facts::Site(facts))
            }
            Page::Explain => {
                let form = ExplainForm::parse(query);
                let answer = explain_query(query).map(|query| self.explained(compiled, &query));
                let listeners = instance.listening();
                let facts = ExplainFacts { form: &form, listeners: &listeners, answer: answer.as_ref() };
                show(&Facts::Explain(facts))
            }
            Page::Certificates => {
                let held = self.certificates();
                let (certificates, issuers) = (&held.certificates, &held.issuers);
                show(&Facts::Certificates(CertificatesFacts { certificates, issuers, now }))
            }
            Page::Containers => {
                let (containers, routes) = (&containers(compiled).containers, &routes());
                show(&Facts::Containers(ContainersFacts { containers, routes }))
            }
            Page::Log => show(&Facts::Log(LogFacts { lines: &instance.log().lines, now })),
            Page::About => {
                let settings: Vec<_> = instance.settings().into_iter().map(views::setting).collect();
                let (limits, internal_root) = (instance.limits(), self.certificates().internal_root);
                show(&Facts::About(AboutFacts {
                    status: &status(),
                    settings: &settings,
                    limits: &limits,
                    internal_root: internal_root.as_deref(),
                    now,
                }))
            }
        }
    }
}

/// The answer at a path where there is nothing. Its links lead to the root from there.
fn nowhere(path: &str, frame: Frame, help: &str) -> Response<String> {
    let error = "there is nothing at this path".to_owned();
    let missing = api::ErrorResponse { error, help: help.to_owned() };
    let frame = Frame { depth: path.matches('/').count().saturating_sub(1).min(DEPTH_MAX), ..frame };
    page::answer(&Facts::Missing(&missing), &PageQuery::default(), frame)
}
