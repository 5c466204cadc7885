//! Middlewares: what happens to requests and responses on the way.

mod access;
mod errors;
mod headers;
mod paths;
mod plugins;
mod reading;
mod redirects;

use std::num::NonZeroU64;

use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

use self::plugins::Plugin;
pub(super) use self::reading::Features;
use self::reading::Reading;
use super::findings::{Problems, VOCABULARY, about_unread, name_taken};
use super::names::Provider;
use super::services::is_on;
use super::tree::{Node, Options, Unread};
use super::values;
use crate::compression::{COMPRESSED_LEN_MIN, CompressedTypes, Compression};
use crate::content_coding::ContentCoding;
use crate::label::{Mark, Source, whole};
use crate::route::Middleware;
use crate::spec::{MiddlewareSpec, Named, NamedSteps, Without};

/// What one type of middleware reads from its options. Options that nobody asked for are found afterwards.
type Read<'s> = fn(&Options<'_, 's>, &mut Reading<'_, 's>) -> Vec<Middleware>;

/// Every type of middleware that is known, and what becomes of routers that name one which could not be made.
enum Kind<'s> {
    /// It is built.
    Built(Without, Read<'s>),
    /// It names others.
    Chain,
    /// It asks a log-in service.
    LogIn,
    /// It has pages for errors.
    Pages,
    /// It is one of several, by name.
    Plugin,
    /// It is known and not built; this happens instead.
    Absent(Without, &'static str),
}

fn kind<'s>(name: &str) -> Option<Kind<'s>> {
    use Without::{Closed, Served};
    Some(match name {
        "addprefix" => Kind::Built(Served, paths::add_prefix),
        "basicauth" => Kind::Built(Closed, access::basic_auth),
        "buffering" => Kind::Built(Served, buffering),
        "chain" => Kind::Chain,
        "compress" => Kind::Built(Served, compress),
        "headers" => Kind::Built(Served, headers::headers),
        "inflightreq" => Kind::Built(Closed, access::in_flight),
        "ipallowlist" | "ipwhitelist" => Kind::Built(Closed, access::allow_list),
        "ratelimit" => Kind::Built(Closed, access::rate_limit),
        "contenttype" => Kind::Absent(Served, "the application's `Content-Type` is passed on as it is"),
        "retry" => Kind::Built(Served, retry),
        "circuitbreaker" => Kind::Absent(Served, "endpoints that fail are left out for a while in any case"),
        "encodedcharacters" => Kind::Absent(Served, "paths that can be read in several ways are refused in any case"),
        "grpcweb" => Kind::Absent(Served, "the application gets requests as they are"),
        "passtlsclientcert" => Kind::Absent(Served, "the application gets no certificate of the client"),
        "digestauth" => Kind::Absent(Closed, "use `basicAuth`; over TLS it is as safe"),
        "plugin" => Kind::Plugin,
        "forwardauth" => Kind::LogIn,
        "errors" => Kind::Pages,
        "redirectregex" => Kind::Built(Served, redirects::redirect_regex),
        "redirectscheme" => Kind::Built(Served, redirects::redirect_scheme),
        "replacepath" => Kind::Built(Served, paths::replace_path),
        "replacepathregex" => Kind::Built(Served, paths::replace_path_regex),
        "stripprefix" => Kind::Built(Served, paths::strip_prefix),
        "stripprefixregex" => Kind::Built(Served, paths::strip_prefix_regex),
        _ => return None,
    })
}

/// The names of all types, as the nearest one is looked for among them.
const TYPES: [&str; 26] = [
    "addprefix",
    "basicauth",
    "buffering",
    "chain",
    "circuitbreaker",
    "compress",
    "contenttype",
    "digestauth",
    "encodedcharacters",
    "errors",
    "forwardauth",
    "grpcweb",
    "headers",
    "inflightreq",
    "ipallowlist",
    "ipwhitelist",
    "passtlsclientcert",
    "plugin",
    "ratelimit",
    "redirectregex",
    "redirectscheme",
    "replacepath",
    "replacepathregex",
    "retry",
    "stripprefix",
    "stripprefixregex",
];

/// The middlewares below `http.middlewares`.
pub(super) fn read<'s>(
    middlewares: &Node<'s>,
    source: Source<'s>,
    provider: Provider,
    features: Features<'_>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Named<'s, MiddlewareSpec>> {
    let named = |node: &Node<'s>| Named {
        name: provider.declared(node.name),
        mark: node.first,
        object: middleware(node, source, provider, features, found),
        words: &VOCABULARY,
        taken: name_taken,
        is_common: true,
    };
    middlewares.children.values().map(named).collect()
}

fn middleware<'s>(
    node: &Node<'s>,
    source: Source<'s>,
    provider: Provider,
    features: Features<'_>,
    found: &mut Vec<Diagnostic>,
) -> MiddlewareSpec {
    let closes = || lost(node.name, Without::Closed);
    let mut kinds = node.children.iter();
    let (Some((name, of_kind)), None) = (kinds.next(), kinds.next()) else {
        let message = match node.children.len() {
            0 => format!("middleware {} has no type", quoted(node.name)),
            _ => format!("middleware {} has several types", quoted(node.name)),
        };
        let finding = whole(codes::TRAEFIK_MIDDLEWARE, message, "", "one name holds one type; use `chain` for several");
        found.push(source.about_key(node.first, finding, closes()));
        return MiddlewareSpec::Broken(Without::Closed);
    };
    let Some(kind) = kind(name) else {
        let near = gangway_diagnostic::nearest(name, TYPES);
        let help = near.map_or_else(
            || "see the list of types in Traefik's reference".to_owned(),
            |near| format!("did you mean {}?", quoted(near)),
        );
        let message = format!("unknown type of middleware {}", quoted(of_kind.name));
        found.push(source.about_key(of_kind.first, whole(codes::TRAEFIK_MIDDLEWARE, message, "", help), closes()));
        return MiddlewareSpec::Broken(Without::Closed);
    };
    match kind {
        Kind::Absent(without, instead) => {
            let message = format!("middleware {} is of a type that is not built: {}", quoted(node.name), of_kind.name);
            let mut finding = whole(codes::TRAEFIK_MIDDLEWARE, message, "", instead);
            if without == Without::Served {
                finding = finding.warning();
            }
            found.push(source.about_key(of_kind.first, finding, lost(node.name, without)));
            MiddlewareSpec::Broken(without)
        }
        Kind::Chain => {
            let options = of_kind.options();
            let listed = options.list("middlewares");
            let mut problems = Problems::default();
            problems.unknown(&options, "`chain`");
            if listed.is_empty() || listed.iter().any(|(_, name)| name.is_empty()) {
                problems.add(of_kind.first, values::invalid("an empty name in a chain", "name middlewares"));
            }
            let is_broken = !problems.is_empty();
            problems.report(source, closes, found);
            match is_broken {
                true => MiddlewareSpec::Broken(Without::Closed),
                false => MiddlewareSpec::Chain(listed.iter().map(|(_, name)| provider.referred(name)).collect()),
            }
        }
        Kind::LogIn => made(node, of_kind, source, Without::Closed, found, access::forward_auth),
        Kind::Pages => made(node, of_kind, source, Without::Served, found, |options, reading| {
            errors::errors(options, provider, reading)
        }),
        Kind::Plugin => plugin(node, of_kind, source, features, found),
        Kind::Built(without, read) => made(node, of_kind, source, without, found, |options, reading| {
            // A switch without options is on; any other word leaves it empty.
            if of_kind.mark.is_some_and(|mark| !is_on(mark.value.trim())) {
                let finding = values::invalid("not switched on", "write `true`, or remove the label");
                reading.problems.add(of_kind.first, finding);
            }
            Some(NamedSteps::of(read(options, reading)))
        }),
    }
}

/// What is made of the options of a middleware, and reports what is wrong with them.
fn made<'s>(
    node: &Node<'s>,
    of_kind: &Node<'s>,
    source: Source<'s>,
    without: Without,
    found: &mut Vec<Diagnostic>,
    read: impl FnOnce(&Options<'_, 's>, &mut Reading<'_, 's>) -> Option<NamedSteps>,
) -> MiddlewareSpec {
    let (options, mut problems) = (of_kind.options(), Problems::default());
    let mut reading = Reading { problems: &mut problems, without_effect: Vec::new() };
    let steps = read(&options, &mut reading);
    let idle = reading.without_effect;
    // Of `headers` this option protects, and so may one that was meant to be it.
    let may_be = |unread: &Unread<'_, '_>| matches!(unread, Unread::Unknown(_, Some(headers::ALLOWED_HOSTS)));
    let unread = options.unread();
    let protects = of_kind.child(headers::ALLOWED_HOSTS).is_some() || unread.iter().any(may_be);
    let without = if protects { Without::Closed } else { without };
    for unread in &unread {
        let (mark, finding) = about_unread(unread, &quoted(of_kind.name));
        problems.add(mark, finding);
    }
    let is_broken = !problems.is_empty();
    problems.report(source, || lost(node.name, without), found);
    report_idle(node.name, idle, source, found);
    match steps.filter(|_| !is_broken) {
        Some(steps) => MiddlewareSpec::Steps(steps),
        None => MiddlewareSpec::Broken(without),
    }
}

/// What becomes of the routers that name a middleware which could not be made.
fn lost(name: &str, without: Without) -> String {
    match without {
        Without::Closed => format!("routers that name {} are closed", quoted(name)),
        Without::Served => format!("routers that name {} are served without it", quoted(name)),
    }
}

/// A plug-in. Its options are its own, so those that are not read are not looked at.
fn plugin<'s>(
    node: &Node<'s>,
    of_kind: &Node<'s>,
    source: Source<'s>,
    features: Features<'_>,
    found: &mut Vec<Diagnostic>,
) -> MiddlewareSpec {
    let mut all = of_kind.children.values();
    let (Some(one), None) = (all.next(), all.next()) else {
        let finding = values::invalid("not one plug-in", "name one, such as `plugin.geoblock`");
        found.push(source.about_key(of_kind.first, finding, lost(node.name, Without::Closed)));
        return MiddlewareSpec::Broken(Without::Closed);
    };
    let plugin = Plugin::named(one.name, features);
    let without = plugin.without();
    let effect = || lost(node.name, without);
    let mut problems = Problems::default();
    let mut reading = Reading { problems: &mut problems, without_effect: Vec::new() };
    let steps = match plugin.steps(one, features, &mut reading) {
        Ok(steps) => Some(steps),
        Err(finding) => {
            found.push(source.about_key(one.first, finding, effect()));
            None
        }
    };
    let is_broken = !problems.is_empty();
    problems.report(source, effect, found);
    match steps.filter(|_| !is_broken) {
        Some(steps) => MiddlewareSpec::Steps(NamedSteps::of(steps)),
        None => MiddlewareSpec::Broken(without),
    }
}

fn report_idle<'s>(name: &str, idle: Vec<(Mark<'s>, Finding)>, source: Source<'s>, found: &mut Vec<Diagnostic>) {
    for (mark, finding) in idle {
        found.push(source.about_key(mark, finding, format!("the rest of {} is in force", quoted(name))));
    }
}

fn buffering<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let max = reading.problems.read(options, "maxrequestbodybytes", values::count);
    reading.idle(options, &["memrequestbodybytes", "memresponsebodybytes"], "bodies are passed on as they come");
    let response_max = reading.problems.read(options, "maxresponsebodybytes", values::count);
    reading.idle(
        options,
        &["retryexpression"],
        "requests that reached no endpoint are tried at another one in any case",
    );
    let of_request = max.and_then(NonZeroU64::new).map(|max| Middleware::BodyLimit(max.get()));
    let of_response = response_max.and_then(NonZeroU64::new).map(Middleware::ResponseLimit);
    of_request.into_iter().chain(of_response).collect()
}

fn compress<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let known = [("zstd", ContentCoding::Zstd), ("br", ContentCoding::Brotli), ("gzip", ContentCoding::Gzip)];
    let mut codings = Vec::new();
    for (mark, name) in options.list("encodings") {
        codings.extend(reading.problems.take(mark, values::choice(name, &known)));
    }
    if codings.is_empty() {
        codings = vec![ContentCoding::Gzip, ContentCoding::Brotli, ContentCoding::Zstd];
    }
    let len_min = reading.problems.read(options, "minresponsebodybytes", values::count);
    let len_min = len_min.filter(|len| *len > 0).unwrap_or(COMPRESSED_LEN_MIN);
    let types = |name| {
        let listed = options.list(name);
        let essence = |(_, text): (Mark<'s>, &'s str)| text.split(';').next().unwrap_or_default().trim().to_lowercase();
        let types = listed.into_iter().map(essence).filter(|text| !text.is_empty());
        types.map(String::into_boxed_str).collect::<Box<[Box<str>]>>()
    };
    let (excluded, included) = (types("excludedcontenttypes"), types("includedcontenttypes"));
    if !excluded.is_empty() && !included.is_empty() {
        let help = "write `includedContentTypes` or `excludedContentTypes`";
        reading.problems.add(options.node.first, values::invalid("types are both included and excluded", help));
    }
    reading.idle(options, &["defaultencoding"], "a client that names no coding gets none");
    let types = match included.is_empty() {
        true => CompressedTypes::Worthwhile { except: excluded },
        false => CompressedTypes::Only(included),
    };
    vec![Middleware::Compression(Compression { codings: codings.into(), len_min, types })]
}

/// Requests that reached no endpoint are tried at another one in any case.
fn retry<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    if reading.problems.read(options, "attempts", values::count).unwrap_or(0) == 0 {
        reading.problems.add(options.node.first, values::invalid("no attempt", "add `attempts`"));
    }
    reading.problems.read(options, "initialinterval", values::duration);
    let of_answers = ["status", "retrynonidempotentmethod"];
    reading.idle(options, &of_answers, "an answer of the application is the client's, whatever its status");
    reading.idle(options, &["timeout"], "requests are tried again as long as that is of use");
    reading.idle(options, &["maxrequestbodybytes"], "bodies are kept for another try within bounds of Gangway's own");
    reading.idle(options, &["disableretryonnetworkerror"], "requests that reached no endpoint are tried again");
    Vec::new()
}
