//! Requests that another proxy answered once, asked again of this one.
//!
//! `traefik/recorded.json` holds sets of containers with Traefik's labels, Traefik's configuration, requests, and what
//! Traefik 3.7.9 made of each request. Where Gangway means to differ, the file says so, with the reason and what happens
//! instead, so that such a difference is checked like all else.

mod answer;
mod api;
mod case;
mod instance;
mod log_lines;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::case::{Case, Step, Truth};
use self::instance::{Bed, Instance};
use crate::docker::Docker;

/// As many cases at a time: each waits for its containers most of the time.
const AT_A_TIME: usize = 4;

/// What came out of all cases.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of steps that were asked and compared.
    pub steps: usize,
    /// What is not as it should be, one text for each step.
    pub differences: Vec<String>,
}

/// Runs the cases on an engine.
pub async fn run(docker: Arc<Docker>, cases: Vec<Case>) -> Outcome {
    let (cases, next) = (Arc::new(cases), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..AT_A_TIME)
        .map(|number| {
            let (docker, cases, next) = (Arc::clone(&docker), Arc::clone(&cases), Arc::clone(&next));
            tokio::spawn(async move {
                let mut bed = Bed::new(docker, number);
                let mut outcome = Outcome::default();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    of_case(&mut bed, case, &mut outcome).await;
                }
                outcome
            })
        })
        .collect();
    let mut all = Outcome::default();
    for worker in workers {
        let outcome = worker.await.expect("a worker does not panic");
        all.steps += outcome.steps;
        all.differences.extend(outcome.differences);
    }
    all
}

async fn of_case(bed: &mut Bed, case: &Case, outcome: &mut Outcome) {
    let mut instance = Instance::start(bed, case).await;
    let id = &case.id;
    if !instance.is_ready().await {
        outcome.differences.push(format!("{id}: it does not start:\n{}", instance.log()));
        return;
    }
    for (number, step) in case.steps.iter().enumerate() {
        let Some(seen) = steps::run(&mut instance, step).await else { continue };
        outcome.steps += 1;
        let Some(expected) = step.expected() else { continue };
        let differences = answer::compare(&mut instance, step, expected, &seen);
        if !differences.is_empty() {
            outcome.differences.push(format!("{id}#{number} {}\n    {}", step.what(), differences.join("\n    ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_recording_is_compared_with_something() {
        let file = crate::root().join("tests/traefik/recorded.json");
        let text = std::fs::read_to_string(file).expect("the repository has it");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("it is what the reader takes");
        let steps = || cases.iter().flat_map(|case| case.steps.iter().map(move |step| (&case.id, step)));
        let is_bare = |step: &Step| match step.expected() {
            None => step.act.is_none(),
            Some(expected) if step.api.is_some() => expected.json.is_none() == expected.body.is_none(),
            Some(expected) if step.log.is_some() => expected.lines.as_ref().is_none_or(Vec::is_empty),
            Some(_) => false,
        };
        let bare: Vec<String> =
            steps().filter(|(_, step)| is_bare(step)).map(|(id, step)| format!("{id}: {}", step.what())).collect();
        assert!(bare.is_empty(), "{bare:?}");
        let count = |is_kind: fn(&Step) -> bool| steps().filter(|(_, step)| is_kind(step)).count();
        assert!(count(|step| step.api.is_some()) > 20 && count(|step| step.log.is_some()) > 15);
    }
}
