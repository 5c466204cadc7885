//! Findings in the form in which diagnostics are shown to people everywhere.

use std::fmt::Write as _;

use gangway_compose::{Finding, SourceMap, Subject};
use gangway_model::diagnostic::{Span, excerpt, printable};

/// One finding with its line of the file.
pub(crate) fn text(finding: &Finding, sources: &SourceMap) -> String {
    let mut out = String::new();
    let at = sources.position(finding.at.file, finding.at.start);
    let _ = writeln!(out, "{}[{}]: {}", finding.level.as_str(), finding.code, printable(&finding.message));
    let _ = write!(out, "  in {}:{}:{}", printable(sources.name(finding.at.file)), at.line, at.column);
    let Subject { service, label, key } = &finding.subject;
    for (name, said) in [("service", service), ("label", label), ("key", key)] {
        if let Some(said) = said {
            let _ = write!(out, ", {name} `{}`", printable(said));
        }
    }
    let number = at.line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(out, "\n  {gutter} |");
    let (line, start) = sources.line(finding.at.file, at.line);
    let note = printable(&finding.note);
    if !line.is_empty() {
        let span = Span { start: finding.at.start - start, end: finding.at.end.min(start + line.len()) - start };
        let (shown, caret) = excerpt(line, span);
        let note = if finding.value.is_some() { "" } else { &note };
        let _ = writeln!(out, "  {number} | {shown}\n  {gutter} | {}", format!("{caret} {note}").trim_end());
    }
    if let Some((value, part)) = &finding.value {
        let (shown, caret) = excerpt(value, part.clone().into());
        let _ = writeln!(out, "  {gutter} = {shown}\n  {gutter}   {}", format!("{caret} {note}").trim_end());
    }
    let _ = writeln!(out, "  {gutter} |");
    for (name, said) in [("help", &finding.help), ("effect", &finding.effect)] {
        if !said.is_empty() {
            let _ = writeln!(out, "  {name}: {}", printable(said));
        }
    }
    out
}
