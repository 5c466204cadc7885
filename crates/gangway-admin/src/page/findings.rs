//! Findings, as the command line shows them.

use maud::{Markup, html};

use super::extent::Extent;
use super::parts::{clipped, prose, several, told};
use crate::api::DiagnosticView;

/// The number of findings that are shown at once. The others are folded.
const OPEN_MAX: usize = 10;

/// The number of findings of a view. More would bury it; the API has all.
const FOLDED_MAX: usize = 50;

/// The number of characters of a line of an excerpt, which is cut around its caret already.
const LINE_MAX: usize = 400;

/// The findings, the errors first. Where there are no details, only how many there are: they quote labels.
pub(super) fn list(findings: &[DiagnosticView], extent: Extent) -> Markup {
    if !extent.has_details() {
        let number = several(findings.len(), "finding", "findings");
        return html! { @if !findings.is_empty() { p.empty { (number) "; " code { "gangway status" } " shows what to do." } } };
    }
    let mut findings: Vec<&DiagnosticView> = findings.iter().collect();
    findings.sort_by_key(|one| rank(&one.severity));
    let (open, folded) = findings.split_at(findings.len().min(OPEN_MAX));
    html! {
        @if !findings.is_empty() {
            section.findings aria-label="Findings" {
                h2.hidden { "Findings" }
                @for finding in open { (card(finding)) }
                @if !folded.is_empty() {
                    details {
                        summary { (several(folded.len(), "further finding", "further findings")) }
                        @for finding in folded.iter().take(FOLDED_MAX) { (card(finding)) }
                        @if folded.len() > FOLDED_MAX { p.empty { "The API has the others." } }
                    }
                }
            }
        }
    }
}

fn rank(severity: &str) -> usize {
    ["error", "warning"].iter().position(|known| *known == severity).unwrap_or(2)
}

fn card(finding: &DiagnosticView) -> Markup {
    let place = finding.shown.lines().nth(1).and_then(|line| line.strip_prefix("  in ")).unwrap_or_default();
    html! {
        article class={ "finding " (finding.severity) } {
            h3 { span class={ "s " (finding.severity) } { (finding.severity) } " " code { (finding.code) } " " (prose(&finding.message)) }
            p.place { "in " (prose(place)) }
            (excerpt(&finding.shown))
            dl {
                @if !finding.help.is_empty() { dt { "help" } dd { (prose(&finding.help)) } }
                dt { "effect" } dd { (prose(&finding.effect)) }
            }
        }
    }
}

/// The line that was written, and the caret below it. They stand in the text between two empty lines of the margin.
fn excerpt(shown: &str) -> Markup {
    let lines = shown.lines().filter_map(|line| line.strip_prefix("  | ")).map(|line| clipped(line, LINE_MAX));
    let lines: Vec<_> = lines.collect();
    html! {
        @if let [text, caret, ..] = &lines[..] {
            // Long lines are moved by the keyboard.
            pre tabindex="0" { code { (text) "\n" b { (caret) } } }
        } @else if let [text] = &lines[..] {
            pre tabindex="0" { code { (text) } }
        }
    }
}

/// Trouble of a thing, if it has any.
pub(super) fn trouble(trouble: Option<&str>) -> Markup {
    html! { @if let Some(trouble) = trouble { span.trouble { (told(trouble)) } } }
}
