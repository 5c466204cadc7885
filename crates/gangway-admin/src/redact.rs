//! Redacts findings about values that may be secrets, here and in the log.

use gangway_diagnostic::{Diagnostic, Span};
use gangway_model::secret::{MASK, is_secret_key, is_secret_name, masked_urls};

/// The finding without anything that may be a secret.
pub fn redacted(diagnostic: &Diagnostic) -> Diagnostic {
    let mut masked = diagnostic.clone();
    let label = diagnostic.place.subject().unwrap_or_default();
    // A line of the config file that could not be parsed belongs to no key, but names one.
    let name = if label.is_empty() { diagnostic.text.split('=').next().unwrap_or_default() } else { label };
    let is_key =
        !diagnostic.text.is_empty() && label.to_ascii_lowercase().contains(&diagnostic.text.to_ascii_lowercase());
    if is_key || !is_secret_name(name) && !is_secret_key(name) {
        let (text, span) = masked_urls(&diagnostic.text, diagnostic.span.start..diagnostic.span.end);
        (masked.text, masked.span) = (text, Span { start: span.start, end: span.end });
        for words in [&mut masked.message, &mut masked.note, &mut masked.help, &mut masked.effect] {
            *words = masked_urls(words, 0..0).0;
        }
        return masked;
    }
    if !diagnostic.text.is_empty() {
        masked.text = MASK.to_owned();
        masked.span = Span { start: 0, end: MASK.len() };
    }
    for words in [&mut masked.message, &mut masked.note, &mut masked.help, &mut masked.effect] {
        *words = without_pieces_of(words, &diagnostic.text, label);
    }
    masked
}

/// The words without the backticked pieces that may come from `secret`. Pieces of the label are kept.
fn without_pieces_of(words: &str, secret: &str, label: &str) -> String {
    let is_said = |piece: &str| {
        let known = piece.trim_end_matches('…');
        !known.is_empty() && secret.contains(known) && !label.contains(known)
    };
    let pieces =
        words.split('`').enumerate().map(|(at, piece)| if at % 2 == 1 && is_said(piece) { MASK } else { piece });
    let masked = pieces.collect::<Vec<_>>().join("`");
    if secret.len() >= MASK.len() { masked.replace(secret, MASK) } else { masked }
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::{Code, Place, Severity};

    use super::*;

    fn finding(label: &str, text: &str, message: &str) -> Diagnostic {
        Diagnostic {
            code: Code(27),
            severity: Severity::Error,
            message: message.into(),
            place: Place::Container {
                name: "shop".into(),
                project: None,
                label: Some(label).filter(|label| !label.is_empty()).map(Into::into),
            },
            text: text.into(),
            span: Span { start: 0, end: text.len() },
            note: format!("`{text}` is no hash"),
            help: "write `user:hash`, as `gangway hash` prints it".into(),
            effect: "the route is closed".into(),
        }
    }

    #[test]
    fn a_secret_is_redacted_in_all_parts_of_a_finding() {
        for label in ["gangway.auth.basic", "gangway.request.header.X-Api-Key", "routes.nas.request.header.Cookie"] {
            let shown =
                redacted(&finding(label, "bob:hunter2", "unusable entry `bob:hunter2`, or bob:hunter2")).to_string();
            assert!(!shown.contains("hunter2") && shown.contains("`user:hash`") && shown.contains(label), "{shown}");
        }
    }

    #[test]
    fn a_line_of_the_config_file_is_redacted_by_the_key_it_names() {
        let shown = redacted(&finding("", "\"auth.basic\" = \"bob:hunter2", "`gangway.toml` is not TOML")).to_string();
        assert!(!shown.contains("hunter2") && shown.contains("gangway.toml"), "{shown}");
    }

    #[test]
    fn what_stays_in_force_meanwhile_is_redacted_too() {
        let effect = "until then `acme-ca` stays `https://u:hunter2@ca.test/dir`";
        let shown = redacted(&Diagnostic { effect: effect.into(), ..finding("acme-ca", "", "it changed") }).to_string();
        assert!(!shown.contains("hunter2") && shown.contains("@ca.test/dir"), "{shown}");
    }

    #[test]
    fn a_password_in_a_url_is_redacted_and_the_caret_keeps_its_place() {
        let label = "traefik.http.middlewares.f.forwardauth.address";
        let mut found = finding(label, "http://u:hunter2@auth:9091/", "not a URL");
        found.span = Span { start: 17, end: 21 };
        let shown = redacted(&found);
        assert_eq!((&*shown.text, &shown.text[shown.span.start..shown.span.end]), ("http://***@auth:9091/", "auth"));
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
    }

    #[test]
    fn everything_else_is_shown() {
        let open = finding("gangway.rule", "Hosts(`a`)", "unknown matcher `Hosts`");
        assert_eq!(redacted(&open), open);
        let key = finding("gangway.auth.basik", "auth.basik", "unknown label `gangway.auth.basik`");
        assert_eq!(redacted(&key), key);
    }
}
