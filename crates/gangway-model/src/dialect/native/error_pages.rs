//! `errors`: which statuses get a page, and where it is from.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::label::Label;
use super::route_fields::RouteFields;
use super::values::{each, is_file_name};
use crate::error_pages::{self, ErrorPages, ErrorRule, PAGES_FOLDER, PageKind, PageSource, STATUS, StatusText};
use crate::label::Mark;
use crate::spec::PageServiceSpec;
use crate::upstream_url;
use crate::value::{self, Parsed};
use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

/// Bounds far beyond what is needed: rules of one label, and folders in folders.
const RULES_MAX: usize = 32;
const DEPTH_MAX: usize = 4;

/// What is asked of a service where no path is written. Page services, and folders of plain files, know it.
const TARGET: &str = "/{status}.html";

pub(super) fn errors<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let rules = label.value().split_inclusive(';').scan(0, |at, part| {
        let start = *at;
        *at += part.len();
        let text = part.trim_end_matches(';');
        Some((start + text.len() - text.trim_start().len(), text.trim()))
    });
    // A semicolon may end the last rule too.
    let rules = rules.filter(|(_, rule)| !rule.is_empty());
    if rules.clone().count() > RULES_MAX {
        let message = format!("more than {RULES_MAX} rules");
        let help = "write ranges, such as `400-499`";
        fields.found(label, Finding::error(codes::ERROR_PAGES, 0..label.value().len(), message, "", help), found);
        return;
    }
    let taken = RefCell::new(BTreeSet::new());
    let mark = label.mark;
    let read = each(label, fields, found, "rules", rules, |text, findings| rule(text, mark, &taken, findings));
    let is_shared = label.is_shared();
    let mut rules = Vec::with_capacity(read.len());
    for (position, (rule, service)) in read.into_iter().enumerate() {
        fields.page_services.extend(service.map(|service| PageServiceSpec { rule: position, is_shared, ..service }));
        rules.push(rule);
    }
    fields.errors = (!rules.is_empty()).then_some(ErrorPages { rules });
}

/// One rule. `taken` are the statuses of the rules before it.
fn rule<'a>(
    text: &str,
    mark: Mark<'a>,
    taken: &RefCell<BTreeSet<u16>>,
    findings: &mut Vec<Finding>,
) -> Option<(ErrorRule, Option<PageServiceSpec<'a>>)> {
    let Some((left, right)) = text.split_once("->") else {
        let help = "write statuses, `->`, and where the page is from, such as `404,500-599 -> errors/`";
        findings.push(Finding::error(codes::ERROR_PAGES, 0..text.len(), "not a rule for errors", "no `->`", help));
        return None;
    };
    let mut statuses = Vec::new();
    for (at, entry) in value::list(left) {
        match value::statuses(entry).and_then(|range| of_errors(entry, range)) {
            Ok(range) => statuses.push(range),
            Err(finding) => findings.push(finding.shifted(at)),
        }
    }
    if !findings.is_empty() {
        return None;
    }
    if statuses.is_empty() {
        let help = "write statuses in front of it, such as `404,500-599`";
        findings.push(Finding::error(codes::ERROR_PAGES, 0..text.len(), "no statuses in front of `->`", "", help));
        return None;
    }
    let target = right.trim();
    let at = text.len() - right.len() + (right.len() - right.trim_start().len());
    let (source, service) = place(target, mark).map_err(|finding| findings.push(finding.shifted(at))).ok()?;
    let mut taken = taken.borrow_mut();
    let before = taken.len();
    statuses.iter().for_each(|(first, last)| taken.extend(*first..=*last));
    if taken.len() == before {
        let help = "remove it, or write it before the others";
        let message = "rule that no status gets to";
        let finding =
            Finding::error(codes::ERROR_RULE_UNREACHED, 0..left.len(), message, "taken by rules before", help);
        findings.push(finding.warning());
    }
    Some((ErrorRule { statuses, source }, service))
}

fn of_errors(text: &str, (first, last): (u16, u16)) -> Parsed<(u16, u16)> {
    if first >= error_pages::FIRST && last <= error_pages::LAST {
        return Ok((first, last));
    }
    let message = format!("{} is not the status of an error", quoted(text));
    let help = "write statuses such as `404`, or ranges such as `500-599`";
    Err(Finding::error(codes::ERROR_STATUS, 0..text.len(), message, "from 400 to 599", help))
}

fn wrong(text: &str, note: &str, help: &str) -> Finding {
    Finding::error(codes::ERROR_PAGE_SOURCE, 0..text.len(), "no source of pages", note, help)
}

/// A file or a folder on the volume, a container or a service, or a URL.
fn place<'a>(text: &str, mark: Mark<'a>) -> Parsed<(PageSource, Option<PageServiceSpec<'a>>)> {
    if text.is_empty() {
        return Err(wrong(text, "nothing behind `->`", "write a folder such as `errors/`, a container, or a URL"));
    }
    if text.replace(STATUS, "").contains(['{', '}']) {
        return Err(wrong(text, "a placeholder that is not known", "only `{status}` can be put in"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "write one place, and other bytes with percent signs, such as `%20`; `;` stands between rules";
        return Err(wrong(text, "more than a place, or not only ASCII", help));
    }
    if text.contains("://") {
        return url(text, mark).map(|(source, service)| (source, Some(service)));
    }
    let path = text.strip_prefix('/').unwrap_or(text);
    match path.strip_prefix(PAGES_FOLDER) {
        Some(below) if below.is_empty() || below.starts_with('/') => {
            return on_volume(text, below.strip_prefix('/').unwrap_or(below)).map(|source| (source, None));
        }
        Some(_) | None => {}
    }
    if text.starts_with(['/', '.']) {
        return Err(wrong(
            text,
            "not in `errors/` on the volume",
            "put pages there, and write one such as `errors/{status}.html`",
        ));
    }
    service(text, mark).map(|(source, service)| (source, Some(service)))
}

fn on_volume(text: &str, below: &str) -> Parsed<PageSource> {
    let path = below.strip_suffix('/').unwrap_or(below);
    if path.is_empty() {
        return Ok(PageSource::Folder(StatusText::new("")));
    }
    // A status is three digits.
    let parts: Vec<String> = path.split('/').map(|part| part.replace(STATUS, "404")).collect();
    if parts.len() > DEPTH_MAX || !parts.iter().all(|part| is_file_name(part)) {
        let help = "write folders and a name of letters, digits, dots, hyphens and underscores, such as `errors/shop/{status}.html`";
        return Err(wrong(text, "not a path below `errors/`", help));
    }
    let file = parts.last().filter(|last| path.len() == below.len() && last.contains('.'));
    match file {
        None => Ok(PageSource::Folder(StatusText::new(path))),
        Some(file) if PageKind::of_file(file).is_some() => Ok(PageSource::File(StatusText::new(path))),
        Some(_) => {
            let help =
                "pages end with `.html`, `.htm`, `.xhtml`, `.txt` or `.json`; a folder with a dot in its name with `/`";
            Err(wrong(text, "not the kind of a page", help))
        }
    }
}

fn url<'a>(text: &str, mark: Mark<'a>) -> Parsed<(PageSource, PageServiceSpec<'a>)> {
    let help = "write one such as `http://pages:8080/{status}.html`";
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let start = format!("{scheme}://{authority}");
    let url = upstream_url::parse(&start).map_err(|finding| wrong(text, &finding.note, help))?;
    if target.contains('#') || !target.is_empty() && !target.starts_with('/') {
        return Err(wrong(text, "no path behind the host", help));
    }
    let port = url.address.port();
    let target = if target.is_empty() { TARGET } else { target };
    let source = PageSource::Service { name: start.into(), target: StatusText::new(target) };
    Ok((source, PageServiceSpec::new(&url.host.clone(), Some(port), Some(url), mark)))
}

/// A name with or without a port and a path.
fn service<'a>(text: &str, mark: Mark<'a>) -> Parsed<(PageSource, PageServiceSpec<'a>)> {
    let (authority, target) = text.split_at(text.find('/').unwrap_or(text.len()));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) => {
            let at = name.len() + 1;
            (name, Some(value::port(port).map_err(|finding| finding.shifted(at))?))
        }
        None => (authority, None),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_name) {
        let help = "write a folder such as `errors/`, a container such as `error-pages`, or a URL";
        return Err(wrong(text, "neither a folder, nor a name, nor a URL", help));
    }
    if target.contains('#') {
        return Err(wrong(text, "a fragment is never sent", "remove `#` and what follows it"));
    }
    let target = if target.is_empty() { TARGET } else { target };
    let source = PageSource::Service { name: authority.into(), target: StatusText::new(target) };
    Ok((source, PageServiceSpec::new(name, port, None, mark)))
}
