//! SARIF 2.1.0, for code scanning and editors.

use std::collections::BTreeMap;

use gangway_compose::{SourceDiagnostic, SourceMap};
use gangway_diagnostic::{Code, codes};
use serde_json::{Value, json};

use super::paragraph::paragraph;

/// One run with all diagnostics.
pub(crate) fn sarif(diagnostics: &[SourceDiagnostic], sources: &SourceMap) -> String {
    let mut rules: BTreeMap<Code, usize> = diagnostics.iter().map(|found| (found.diagnostic.code, 0)).collect();
    for (index, place) in rules.values_mut().enumerate() {
        *place = index;
    }
    let results: Vec<_> =
        diagnostics.iter().map(|found| result(found, rules[&found.diagnostic.code], sources)).collect();
    let rules: Vec<_> = rules.keys().map(|code| rule(*code)).collect();
    let driver = json!({
        "name": "gangway",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    });
    serde_json::to_string_pretty(&log).expect("texts and numbers are JSON") + "\n"
}

fn rule(code: Code) -> Value {
    let explanation = codes::find(code).map_or("", |text| text.explanation);
    json!({
        "id": code.to_string(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": explanation },
        "help": { "text": explanation },
    })
}

fn result(found: &SourceDiagnostic, rule: usize, sources: &SourceMap) -> Value {
    let (start, end) =
        (sources.position(found.span.file, found.span.start), sources.position(found.span.file, found.span.end));
    json!({
        "ruleId": found.diagnostic.code.to_string(),
        "ruleIndex": rule,
        "level": found.diagnostic.severity.as_str(),
        "message": { "text": paragraph(&found.diagnostic) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(sources.name(found.span.file)) },
            "region": {
                "startLine": start.line,
                "startColumn": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        } }],
    })
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_relative_reference() {
        assert_eq!(uri("../my stack/compose.yaml"), "../my%20stack/compose.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
        assert_eq!(uri("ü:%"), "%C3%BC%3A%25");
    }
}
