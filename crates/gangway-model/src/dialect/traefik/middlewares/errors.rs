//! `errors`: pages of a service in place of errors.

use gangway_diagnostic::Finding;

use super::super::names::Provider;
use super::super::tree::Options;
use super::super::values;
use super::reading::Reading;
use crate::error_pages::{self, ErrorPages, ErrorRule, PageSource, StatusRewrite, StatusText};
use crate::spec::{NamedPages, NamedSteps};

pub(super) fn errors<'s>(
    options: &Options<'_, 's>,
    provider: Provider,
    reading: &mut Reading<'_, 's>,
) -> Option<NamedSteps> {
    let mut statuses = Vec::new();
    for (mark, text) in options.list("status") {
        statuses.extend(reading.problems.take(mark, range(text)));
    }
    let mut rewrites = Vec::new();
    for node in options.get("statusrewrites").into_iter().flat_map(|map| map.children.values()) {
        let Some(mark) = node.mark else { continue };
        let rewrite = range(node.name).and_then(|from| {
            let to = mark.value.trim().parse().ok().filter(|to| (200..=599).contains(to));
            let to = to.ok_or_else(|| values::invalid("not a status", "write a status such as `200`"))?;
            Ok(StatusRewrite { from, to })
        });
        rewrites.extend(reading.problems.take(mark, rewrite));
    }
    reading.idle(options, &["errorrequestheaders"], "the service gets the fields of the request but credentials");
    let query = options.text("query").map_or("", |mark| mark.value.trim());
    let service = options.text("service").map(|mark| mark.value.trim()).filter(|service| !service.is_empty());
    let Some(service) = service else {
        reading.problems.add(options.node.first, values::invalid("no service", "add `service`"));
        return None;
    };
    if statuses.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no status", "add `status`, such as `500-599`"));
    }
    if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        reading.problems.add(options.node.first, values::invalid("not a target", "write `query` such as `/{status}`"));
    }
    let target = if query.starts_with('/') { query.to_owned() } else { format!("/{query}") };
    let upstream = provider.referred(service);
    let (target, rewrites) = (StatusText::new(&target), rewrites.into());
    let source = PageSource::Answer { name: upstream.clone(), target, rewrites };
    let pages = ErrorPages { rules: vec![ErrorRule { statuses, source }] };
    Some(NamedSteps { pages: Some(NamedPages { pages, upstream }), ..NamedSteps::of(Vec::new()) })
}

/// A status, or two with a hyphen between them.
fn range(text: &str) -> Result<(u16, u16), Finding> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let status = text.trim().parse().ok();
        status.filter(|status| (error_pages::FIRST..=error_pages::LAST).contains(status))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(values::invalid("not a status of an error", "write statuses such as `404` or `500-599`")),
    }
}
