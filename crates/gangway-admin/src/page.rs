//! The page: what is served, whether it is well, what is wrong and what mends it.
//!
//! Each view is rendered on the server from the types of the API, and nothing else is known here. Everything foreign is
//! shown as text, on one line and with a bound on its length. A view works without its script; the script only fetches
//! parts of it again, by `?fragment=`, when something has changed.
//!
//! There is deliberately no way to change anything, no cookie and no storage in the browser.

mod about;
mod assets;
mod certificates;
mod containers;
mod explain;
mod extent;
mod figures;
mod findings;
mod frame;
mod log;
mod overview;
mod parts;
mod query;
mod site;
mod start;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use maud::Markup;

pub(crate) use self::about::AboutFacts;
pub(crate) use self::certificates::CertificatesFacts;
pub(crate) use self::containers::ContainersFacts;
pub(crate) use self::explain::{ExplainFacts, ExplainForm};
pub(crate) use self::extent::{Extent, Page};
pub(crate) use self::frame::{Frame, Updates};
pub(crate) use self::log::LogFacts;
pub(crate) use self::overview::OverviewFacts;
pub(crate) use self::query::{PageQuery, explain_query, route};
pub(crate) use self::site::SiteFacts;
pub(crate) use self::start::StartFacts;
use crate::api::ErrorResponse;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Everything comes from here, and no other page may frame it or be sent a form.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
);

/// An asset never changes under its name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What a view shows.
pub(crate) enum Facts<'f> {
    Overview(OverviewFacts<'f>),
    Site(SiteFacts<'f>),
    Explain(ExplainFacts<'f>),
    Certificates(CertificatesFacts<'f>),
    Containers(ContainersFacts<'f>),
    Log(LogFacts<'f>),
    About(AboutFacts<'f>),
    /// For people who look for an application: the list of views is for those who look after them.
    Start(StartFacts<'f>),
    /// There is no such thing.
    Missing(&'f ErrorResponse),
}

/// The answer with a view, or with the part of it that the query asks for.
pub(crate) fn answer(facts: &Facts<'_>, query: &PageQuery, frame: Frame) -> Response<String> {
    let extent = frame.extent;
    let (view, status) = match facts {
        Facts::Overview(facts) => (overview::view(facts, query, extent), StatusCode::OK),
        Facts::Site(facts) => (site::view(facts, extent), StatusCode::OK),
        Facts::Explain(facts) => (explain::view(facts), StatusCode::OK),
        Facts::Certificates(facts) => (certificates::view(facts, query), StatusCode::OK),
        Facts::Containers(facts) => (containers::view(facts, query), StatusCode::OK),
        Facts::Log(facts) => (log::view(facts, query), StatusCode::OK),
        Facts::About(facts) => (about::view(facts), StatusCode::OK),
        Facts::Start(facts) => (start::view(facts, query), StatusCode::OK),
        Facts::Missing(error) => (frame::missing(error), StatusCode::NOT_FOUND),
    };
    let markup = match &query.fragment {
        Some(name) => view.fragment(name),
        None => view.whole(frame),
    };
    html(status, markup)
}

fn html(status: StatusCode, body: Markup) -> Response<String> {
    let mut response = crate::response::response(status, HTML, body.into_string());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

/// The answer with an asset: the style sheet, the script or the icon. `None` if none has this path.
pub(crate) fn asset(path: &str) -> Option<Response<String>> {
    let asset = assets::all().iter().find(|asset| path.strip_prefix('/') == Some(&*asset.path))?;
    let mut response =
        crate::response::response(StatusCode::OK, HeaderValue::from_static(asset.kind), asset.text.into());
    response.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
    Some(response)
}
