//! Reads what the views of the page show, at the moment of asking.

use gangway_model::Compiled;
use gangway_publish::Published;
use http::Response;

use crate::answer::{Answers, containers};
use crate::api;
use crate::page::{
    self, AboutFacts, CertificatesFacts, ContainersFacts, ExplainFacts, ExplainForm, Facts, LogFacts, OverviewFacts,
    Page, PageQuery, SiteFacts, explain_query,
};
use crate::views;

impl Answers {
    /// The answer with a view of the page.
    pub(crate) fn page(&self, page: Page, compiled: &Published<Compiled>, query: &str) -> Response<String> {
        let asked = PageQuery::parse(query);
        let instance = &self.sources.instance;
        let now = instance.now();
        let status = || self.status(compiled);
        let routes = || self.routes(compiled).routes;
        let findings = || self.diagnostics(compiled).iter().map(views::diagnostic).collect::<Vec<_>>();
        match page {
            Page::Overview => {
                let (figures, changes) = (instance.figures().routes, instance.changes().changes);
                let facts = OverviewFacts {
                    status: &status(),
                    routes: &routes(),
                    certificates: &self.certificates().certificates,
                    diagnostics: &findings(),
                    figures: &figures,
                    changes: &changes,
                    now,
                };
                page::answer(&Facts::Overview(facts), &asked)
            }
            Page::Site => {
                let routes = routes();
                let Some(route) = page::route(&routes, &asked.route) else {
                    let missing = api::ErrorResponse {
                        error: "there is no such route".to_owned(),
                        help: "it may have gone; the overview lists those in force".to_owned(),
                    };
                    return page::answer(&Facts::Missing(&missing), &asked);
                };
                let figures = instance.figures().routes;
                let facts = SiteFacts {
                    route,
                    status: &status(),
                    containers: &containers(compiled).containers,
                    certificates: &self.certificates().certificates,
                    diagnostics: &findings(),
                    figures: figures.iter().find(|figures| figures.route == route.id),
                    requests: &instance.requests(&route.id).requests,
                    now,
                };
                page::answer(&Facts::Site(facts), &asked)
            }
            Page::Explain => {
                let form = ExplainForm::parse(query);
                let answer = explain_query(query).map(|query| self.explained(compiled, &query));
                let listeners = instance.listening();
                let facts = ExplainFacts { form: &form, listeners: &listeners, answer: answer.as_ref() };
                page::answer(&Facts::Explain(facts), &asked)
            }
            Page::Certificates => {
                let certificates = &self.certificates().certificates;
                page::answer(&Facts::Certificates(CertificatesFacts { certificates, now }), &asked)
            }
            Page::Containers => {
                let (containers, routes) = (&containers(compiled).containers, &routes());
                page::answer(&Facts::Containers(ContainersFacts { containers, routes }), &asked)
            }
            Page::Log => page::answer(&Facts::Log(LogFacts { lines: &instance.log().lines, now }), &asked),
            Page::About => {
                let settings: Vec<_> = instance.settings().into_iter().map(views::setting).collect();
                let internal_root = self.certificates().internal_root;
                let facts =
                    AboutFacts { status: &status(), settings: &settings, internal_root: internal_root.as_deref(), now };
                page::answer(&Facts::About(facts), &asked)
            }
        }
    }
}
