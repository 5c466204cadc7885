//! `redirect`: an answer instead of a request.

use crate::host::{HostPattern, Hostname};
use crate::location::{RedirectPart, RedirectTarget};
use crate::value::Parsed;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, nearest, quoted};

/// Where no status is written. The method of a form may change to GET, as with nearly every other proxy.
const STATUS_DEFAULT: u16 = 302;

const STATUSES: [u16; 4] = [301, 302, 307, 308];

/// A redirection as read.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub status: u16,
    pub target: RedirectTarget,
}

/// Reads `[status] target`. Messages do not repeat the target, as it may contain a password.
pub(super) fn parse(text: &str) -> Parsed<Redirect> {
    let mut status = STATUS_DEFAULT;
    let mut target = text;
    let mut offset = 0;
    if let Some((first, rest)) = text.split_once(char::is_whitespace)
        && first.bytes().all(|byte| byte.is_ascii_digit())
    {
        status = first.parse().ok().filter(|status| STATUSES.contains(status)).ok_or_else(|| {
            wrong(
                0..first.len(),
                &format!("status {} is not one of a redirection", quoted(first)),
                "not known here",
                "write 301 or 308 if it is for ever, 302 or 307 if not",
            )
        })?;
        target = rest.trim_start();
        offset = text.len() - target.len();
    }
    let parts = parts(target).map_err(|finding| finding.shifted(offset))?;
    check(target).map_err(|finding| finding.shifted(offset))?;
    Ok(Redirect { status, target: RedirectTarget(parts) })
}

/// Cuts the target at its placeholders.
fn parts(target: &str) -> Parsed<Vec<RedirectPart>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < target.len() {
        let rest = &target[at..];
        let Some(open) = rest.find(['{', '}']) else {
            parts.push(RedirectPart::Text(rest.into()));
            break;
        };
        if open > 0 {
            parts.push(RedirectPart::Text(rest[..open].into()));
        }
        let close = rest[open..].find('}').map_or(rest.len(), |close| open + close + 1);
        parts.push(match &rest[open..close] {
            "{host}" => RedirectPart::Host,
            "{path}" => RedirectPart::Path,
            "{query}" => RedirectPart::Query,
            other => return Err(placeholder(other.trim_matches(['{', '}']), at + open..at + close)),
        });
        at += close;
    }
    Ok(parts)
}

fn placeholder(name: &str, span: std::ops::Range<usize>) -> Finding {
    let help = match nearest(name, ["host", "path", "query"]) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => "there are `{host}`, `{path}` and `{query}`; write a brace itself as `%7B` or `%7D`".to_owned(),
    };
    Finding::error(codes::PLACEHOLDER, span, "unknown placeholder", "not known here", help)
}

/// Is it a URL or a path, whatever is put in for the placeholders? A client decides about those, so it must
/// not be able to decide about the host by them.
fn check(target: &str) -> Parsed<()> {
    let whole = 0..target.len();
    if let Some((at, char)) =
        target.char_indices().find(|(_, char)| !char.is_ascii_graphic() || "\"<>\\^`|".contains(*char))
    {
        let what = format!("{} in a redirection", quoted(char.encode_utf8(&mut [0; 4])));
        return Err(wrong(
            at..at + char.len_utf8(),
            &what,
            "cannot stand in a URL",
            "percent-encode it, such as `%20`",
        ));
    }
    let scheme_len = ["http://", "https://"].into_iter().find_map(|scheme| {
        let begin = target.get(..scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    });
    let Some(scheme_len) = scheme_len else {
        let is_path = target.starts_with('/') && !matches!(target.as_bytes().get(1), Some(b'/' | b'{'));
        return if is_path {
            Ok(())
        } else {
            Err(wrong(whole, "not a redirection", "neither a URL nor a path", "begin with `https://` or with one `/`"))
        };
    };
    let rest = &target[scheme_len..];
    let authority_end = rest.find(['/', '?', '#']).into_iter().chain(rest.find("{path}")).min().unwrap_or(rest.len());
    let authority = &rest[..authority_end];
    let span = scheme_len..scheme_len + authority_end;
    let only_host = authority.replace("{host}", "h");
    let (name, port) = only_host
        .rsplit_once(':')
        .filter(|(name, _)| !name.contains(':') || name.ends_with(']'))
        .unwrap_or((&only_host, ""));
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_name = !name.contains(['{', '@']) && Hostname::parse(name, &mut Vec::new()).is_some();
    if is_name && is_port {
        return Ok(());
    }
    let (note, help) = if only_host.contains('{') {
        (
            "a client would decide about the host",
            "write `{path}` and `{query}` behind the host: `https://new.example.org{path}`",
        )
    } else if only_host.contains('@') {
        ("with a user or a password", "remove what stands in front of the `@`")
    } else {
        ("no host", "write one such as `https://new.example.org{path}`")
    };
    Err(wrong(span, "not a redirection", note, help))
}

/// The host whose requests the redirection sends back to the same address, if there is one.
pub(super) fn leads_to_itself(target: &RedirectTarget, hosts: &[HostPattern]) -> Option<String> {
    let (host, rest) = match &target.0[..] {
        [RedirectPart::Text(scheme), RedirectPart::Host, rest @ ..] if scheme.ends_with("://") => ("{host}", rest),
        [RedirectPart::Text(begin), rest @ ..] => (begin.split_once("://")?.1, rest),
        [] | [RedirectPart::Host | RedirectPart::Path | RedirectPart::Query, ..] => return None,
    };
    let is_same_target = match rest {
        [RedirectPart::Path] | [RedirectPart::Path, RedirectPart::Query] => true,
        [RedirectPart::Path, RedirectPart::Text(mark), RedirectPart::Query] => **mark == *"?",
        _ => false,
    };
    let is_own = |pattern: &&HostPattern| matches!(pattern, HostPattern::Exact(name) if name.as_str().eq_ignore_ascii_case(host));
    match hosts.iter().find(is_own) {
        _ if !is_same_target => None,
        Some(own) => Some(own.to_string()),
        None if host == "{host}" => Some(host.to_owned()),
        None => None,
    }
}

fn wrong(span: std::ops::Range<usize>, message: &str, note: &str, help: &str) -> Finding {
    Finding::error(codes::REDIRECT, span, message, note, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_cut_at_its_placeholders() {
        let redirect = parse("308 https://{host}:8443{path}?{query}").expect("valid");
        assert_eq!(redirect.status, 308);
        let text = |text: &str| RedirectPart::Text(text.into());
        assert_eq!(
            redirect.target.0,
            [text("https://"), RedirectPart::Host, text(":8443"), RedirectPart::Path, text("?"), RedirectPart::Query]
        );
    }

    #[test]
    fn urls_and_paths_are_redirections() {
        for text in [
            "https://a.org",
            "301  http://a.org:80/x#y",
            "/new",
            "/new{path}",
            "https://[2001:db8::1]/",
            "https://www.{host}{path}",
        ] {
            parse(text).expect(text);
        }
        assert_eq!(parse("/new").expect("valid").status, 302);
    }

    #[test]
    fn a_client_cannot_choose_the_host() {
        for text in [
            "https://a.org{query}",
            "https://{path}",
            "https://{query}.a.org/",
            "//{host}/x",
            "/{path}",
            "{path}",
            "{query}",
            "https://u:p@a.org/",
        ] {
            let finding = parse(text).expect_err(text);
            assert_eq!(finding.code, codes::REDIRECT, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let span = |text| {
            let finding = parse(text).expect_err(text);
            (finding.code, finding.span.start..finding.span.end)
        };
        assert_eq!(span("303 /x"), (codes::REDIRECT, 0..3));
        assert_eq!(span("301 https://a.org/{paht}"), (codes::PLACEHOLDER, 18..24));
        assert_eq!(span("https://a.org/}"), (codes::PLACEHOLDER, 14..15));
        assert_eq!(span("https://a.org/{host"), (codes::PLACEHOLDER, 14..19));
        assert_eq!(span("/a b"), (codes::REDIRECT, 2..3));
        assert_eq!(span("308"), (codes::REDIRECT, 0..3));
    }

    #[test]
    fn redirections_to_itself_are_seen() {
        let own = |name: &str| [HostPattern::Exact(Hostname::parse(name, &mut Vec::new()).expect("a name"))];
        let leads = |text: &str| leads_to_itself(&parse(text).expect(text).target, &own("a.org"));
        assert_eq!(leads("https://{host}{path}?{query}").as_deref(), Some("{host}"));
        assert_eq!(leads("https://A.org{path}").as_deref(), Some("a.org"));
        assert_eq!(leads("https://b.org{path}"), None);
        assert_eq!(leads("https://a.org/new{path}"), None);
    }
}
