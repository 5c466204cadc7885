//! Middlewares that send clients elsewhere.

use std::sync::Arc;

use super::super::tree::Options;
use super::super::values;
use super::paths::expression;
use super::reading::Reading;
use crate::replacement::Replacement;
use crate::route::Middleware;
use crate::url_redirect::{UrlChange, UrlRedirect};

pub(super) fn redirect_regex<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let is_permanent = reading.problems.read(options, "permanent", values::boolean).unwrap_or(false);
    let (Some(regex), Some(replacement)) = (options.text("regex"), options.text("replacement")) else {
        reading.problems.add(options.node.first, values::invalid("no expression", "add `regex` and `replacement`"));
        return Vec::new();
    };
    let Some(pattern) = expression(regex, regex.value.trim(), reading) else { return Vec::new() };
    let replacement = Replacement::parse_go(replacement.value.trim(), pattern.regex());
    let change = UrlChange::Matches { pattern, replacement };
    vec![Middleware::UrlRedirect(Arc::new(UrlRedirect { change, is_permanent }))]
}

pub(super) fn redirect_scheme<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let is_permanent = reading.problems.read(options, "permanent", values::boolean).unwrap_or(false);
    let port = reading.problems.read(options, "port", |text| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| values::invalid("not a port", "write a number from 1 to 65535")),
    });
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let scheme = options.text("scheme").map(|mark| mark.value.trim());
    let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty() && scheme.bytes().all(is_fine)) else {
        reading.problems.add(options.node.first, values::invalid("no scheme", "add `scheme`, such as `https`"));
        return Vec::new();
    };
    let change = UrlChange::Scheme { scheme: scheme.to_ascii_lowercase().into(), port: port.flatten() };
    vec![Middleware::UrlRedirect(Arc::new(UrlRedirect { change, is_permanent }))]
}
