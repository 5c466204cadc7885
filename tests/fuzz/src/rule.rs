//! Any text as a rule: no panic, and what was understood is printed and understood again as the same.
#![no_main]

use gangway_model::rule::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut findings = Vec::new();
    let expression = parse(text, &mut findings);
    for finding in &findings {
        assert!(
            finding.span.start <= finding.span.end && finding.span.end <= text.len(),
            "a caret outside of {text:?}: {finding:?}"
        );
        assert!(!finding.message.contains('\n'), "{finding:?}");
    }
    if let Some(expression) = expression {
        let printed = expression.to_string();
        let again = parse(&printed, &mut Vec::new());
        assert_eq!(
            again.map(|again| again.to_string()),
            Some(printed),
            "printed and parsed again, {text:?} is another rule"
        );
    } else {
        assert!(!findings.is_empty(), "nothing was made of {text:?}, and nobody is told");
    }
});
