//! Finds the page for an answer.

use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::message::vary;
use crate::pages::audience::PageAudience;
use crate::pages::page::Page;
use crate::pages::service::{self, NoPage, PageQuestion, PageStyle};
use crate::reply::render::url;
use crate::request::admission::Admission;
use crate::serving_table::{ActiveRoute, PageService};
use crate::shared::Shared;
use crate::upstream::connector::Connector;
use crate::upstream::subrequest;
use gangway_model::{PageSource, StatusRewrite};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What pages are looked up in.
pub(crate) struct PageSources<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) connector: &'a Connector,
}

/// Whether a route has a rule of pages for a status.
pub(crate) fn has_rule(active: &ActiveRoute, status: u16) -> bool {
    active.pages.as_ref().is_some_and(|pages| pages.pages.rule(status).is_some())
}

/// Whether a page is to be looked for in place of an answer, of an application or of our own.
pub(crate) fn is_wanted(active: &ActiveRoute, head: &RequestHead, response: &ResponseHead) -> bool {
    let rule = active.pages.as_ref().and_then(|pages| pages.pages.rule(response.status.as_u16()));
    rule.is_some_and(|(_, rule)| match &rule.source {
        PageSource::Answer { .. } => !head.fields.has(FieldKind::Upgrade),
        PageSource::File(_) | PageSource::Folder(_) | PageSource::Service { .. } => {
            PageAudience::of(head, response).is_some()
        }
    })
}

/// Says to caches that the answer depends on who reads it, also where it stays as it is.
pub(crate) fn vary_by_audience(active: &ActiveRoute, response: &mut ResponseHead) {
    let rule = active.pages.as_ref().and_then(|pages| pages.pages.rule(response.status.as_u16()));
    if rule.is_some_and(|(_, rule)| matches!(rule.source, PageSource::Answer { .. })) {
        return;
    }
    for name in ["Accept", "Sec-Fetch-Dest"] {
        vary::add(name, &mut response.fields);
    }
}

/// The page for an answer; none if it stays as it is.
pub(crate) async fn find(
    sources: &PageSources<'_>,
    active: &ActiveRoute,
    request: (&RequestHead, &Admission),
    response: &ResponseHead,
    request_id: &str,
) -> Option<Page> {
    let (head, admission) = request;
    let (pages, status) = (active.pages.as_ref()?, response.status);
    let (position, rule) = pages.pages.rule(status.as_u16())?;
    let own_mark = sources.shared.access.own_mark();
    // Otherwise a page service that leads back to its own route would be asked without end.
    if subrequest::is_of_ours(&head.fields, own_mark) {
        return None;
    }
    let status_number = status.as_u16();
    if let PageSource::Answer { target, rewrites, .. } = &rule.source {
        let shown = StatusRewrite::apply(rewrites, status_number);
        let target = target.of_answer(shown, status_number, &escaped(&url(head, admission)));
        let status = StatusCode::from_u16(shown).unwrap_or(status);
        let question = PageQuestion {
            connector: sources.connector,
            head,
            status,
            target: &target,
            request_id,
            own_mark,
            style: PageStyle::Traefik(admission),
        };
        let (page, outcome) = match pages.service(position) {
            None => (None, "missing"),
            Some(service) => asked(sources.shared, service, &question).await,
        };
        sources.shared.metrics.error_pages.with_label_values(&[outcome]).inc();
        return page.map(|page| Page { status: (shown != status_number).then_some(status), ..page });
    }
    let audience = PageAudience::of(head, response)?;
    let (page, outcome) = match &rule.source {
        PageSource::File(path) => of_library(sources.shared.pages.load().file(&path.of(status_number), audience)),
        PageSource::Folder(path) => {
            of_library(sources.shared.pages.load().in_folder(&path.of(status_number), status_number, audience))
        }
        // It is asked above, for every audience.
        PageSource::Answer { .. } => return None,
        PageSource::Service { .. } if audience == PageAudience::Programs => return None,
        PageSource::Service { target, .. } => match pages.service(position) {
            None => (None, "missing"),
            Some(service) => {
                let target = target.of(status_number);
                let connector = sources.connector;
                let style = PageStyle::Own;
                let question = PageQuestion { connector, head, status, target: &target, request_id, own_mark, style };
                asked(sources.shared, service, &question).await
            }
        },
    };
    // A program without a page of its own reads what the application says, as it should.
    if page.is_some() || audience == PageAudience::People {
        sources.shared.metrics.error_pages.with_label_values(&[outcome]).inc();
    }
    page
}

/// A URL as a value of a query, as Go escapes it.
fn escaped(url: &str) -> String {
    const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(url, VALUE).to_string().replace("%20", "+")
}

fn of_library(page: Option<Page>) -> (Option<Page>, &'static str) {
    let outcome = if page.is_some() { "shown" } else { "missing" };
    (page, outcome)
}

async fn asked(shared: &Shared, service: &PageService, question: &PageQuestion<'_>) -> (Option<Page>, &'static str) {
    // Where nearly all answers are errors, the service is not to be the next one that is overwhelmed.
    let memory = &shared.overload.memory;
    let Some(_permit) = shared.page_questions.try_acquire().ok().filter(|_| memory.is_plentiful()) else {
        return (None, "busy");
    };
    match service::ask(service, question).await {
        Ok(page) => {
            let lease = memory.lease(page.body.len());
            (Some(Page { _memory: Some(lease), ..page }), "shown")
        }
        Err(NoPage::Silent(error)) => {
            tracing::debug!(%error, "a page service gave no page");
            (None, "unavailable")
        }
        Err(NoPage::Invalid(error)) => {
            tracing::debug!(%error, "a page service gave no page");
            (None, "invalid")
        }
    }
}
