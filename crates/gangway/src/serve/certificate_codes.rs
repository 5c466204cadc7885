//! The reference page of what can be wrong with certificates, made from the keeper's own list. It is not part of
//! the program: a test compares it with the one in the repository, and `make docs` writes that anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use gangway_acme::FindingCode;
use gangway_model::codes;

use crate::settings::page::assert_committed;

const HEAD: &str = "\
<!-- Generated from crates/gangway-acme/src/finding.rs by `make docs`. -->
# Diagnostics of certificates

What can be wrong with certificates while Gangway runs. It is told in the log, by `gangway status`, in the API and in the metrics, worded
like every other [diagnostic](diagnostics.md): with the authority's own words where there are any, something to do, and what was done
instead. Codes are stable.
";

/// `docs/reference/certificate-diagnostics.md`, whole.
fn page() -> String {
    let mut page = String::from(HEAD);
    for code in FindingCode::ALL {
        let _ = write!(page, "\n## {code}: {}\n\n{}\n", code.title(), code.explanation());
    }
    page
}

#[test]
fn the_page_of_certificates_in_the_repository_is_this_one() {
    assert_committed("certificate-diagnostics.md", &page());
}

#[test]
fn no_number_is_given_to_two_findings() {
    let of_certificates: BTreeSet<u16> = FindingCode::ALL.iter().map(|code| code.number()).collect();
    let of_labels: BTreeSet<u16> = codes::all().iter().map(|text| text.code.0).collect();
    let twice: Vec<_> = of_certificates.intersection(&of_labels).copied().collect();
    // The one that stands in both lists is the same finding.
    assert_eq!(twice, [codes::CERTIFICATE_FILE_UNUSABLE.0]);
}
