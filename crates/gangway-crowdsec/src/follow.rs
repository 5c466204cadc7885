//! Follows the stream of decisions.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use gangway_publish::Publisher;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bouncer::Bouncer;
use crate::decisions::Decisions;
use crate::engine_error::EngineError;
use crate::lapi::{Lapi, Pull, Source};
use crate::ledger::Ledger;
use crate::settings::LapiSettings;
use crate::status::Status;
use crate::stream_answer::StreamAnswer;

/// How often the engine is asked for changes, as its own bouncers do.
pub const POLL_EVERY: Duration = Duration::from_secs(10);

/// Everything is read again this often, even if nothing went wrong: an engine that was restored from a backup tells no
/// changes.
const ALL_EVERY: Duration = Duration::from_secs(3600);

/// If the engine is silent for this long at the start, that is said, so that nobody waits for it.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Decisions that end within this time are taken out together. Those of a list end one after the other, and each time all that
/// are left are put in order anew.
const ENDS_GATHERED: Duration = Duration::from_secs(1);

/// The written ends of what the task knows.
pub struct Outputs {
    /// The decisions in force. Nothing is published before the engine has told any.
    pub decisions: Publisher<Decisions>,
    /// How the engine is. Published with each change, for the first time within a few seconds.
    pub status: Publisher<Status>,
}

/// Asks the engine, for ever.
pub async fn follow(settings: LapiSettings, bouncer: Bouncer, outputs: Outputs) -> Infallible {
    let lapi = Lapi::new(settings);
    follow_source(lapi, bouncer, outputs).await
}

async fn follow_source(source: impl Source, bouncer: Bouncer, outputs: Outputs) -> Infallible {
    let mut follower = Follower { ledger: Ledger::default(), bouncer, outputs, status: None };
    let (mut pull, mut all_at) = (Pull::All, Instant::now());
    loop {
        let pulled = follower.expiring(source.pull(pull)).await;
        follower = match tokio::task::spawn_blocking(move || {
            let outcome = follower.take_in(pull, pulled);
            (follower, outcome)
        })
        .await
        {
            Ok((next, is_answered)) => {
                if pull == Pull::All {
                    all_at = Instant::now();
                }
                // After a failure nobody knows which changes were told.
                pull = if is_answered && all_at.elapsed() < ALL_EVERY { Pull::Changes } else { Pull::All };
                next
            }
            // A panic would be a bug; what was published stays in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the decisions of CrowdSec");
                return pending().await;
            }
        };
        follower.expiring(sleep(POLL_EVERY)).await;
    }
}

struct Follower {
    ledger: Ledger,
    bouncer: Bouncer,
    outputs: Outputs,
    /// What was published last.
    status: Option<Status>,
}

impl Follower {
    /// Waits for something, and ends decisions whose time is over meanwhile.
    async fn expiring<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let first_wait = sleep(FIRST_WAIT);
        let mut first_wait = pin!(first_wait);
        loop {
            let next_end = self.ledger.next_end();
            let ends = async {
                match next_end {
                    Some(end) => sleep_until(end + ENDS_GATHERED).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                done = &mut work => return done,
                () = ends => {
                    if self.ledger.expire(Instant::now()) {
                        self.publish();
                    }
                }
                () = &mut first_wait, if self.status.is_none() => {
                    let trouble = EngineError::Unreachable("it has not answered yet".to_owned());
                    self.tell(Status { trouble: Some(trouble), ..Status::default() });
                }
            }
        }
    }

    /// Takes in what came of a question. Returns whether that was an answer.
    fn take_in(&mut self, pull: Pull, pulled: Result<Bytes, EngineError>) -> bool {
        let now = Instant::now();
        let taken = pulled.and_then(|body| {
            let answer = StreamAnswer::parse(&body)?;
            match pull {
                Pull::All => {
                    self.ledger = Ledger::of(&answer, now);
                    self.publish();
                }
                Pull::Changes => {
                    if self.ledger.change(&answer, now) {
                        self.publish();
                    }
                }
            }
            Ok(())
        });
        self.bouncer.note_read(taken.is_ok());
        let is_known = self.status.as_ref().is_some_and(|status| status.is_known);
        let known = || if is_known { self.ledger.status() } else { Status::default() };
        let status = match &taken {
            Ok(()) => self.ledger.status(),
            Err(error) => Status { trouble: Some(error.clone()), ..known() },
        };
        self.tell(status);
        taken.is_ok()
    }

    fn publish(&mut self) {
        self.bouncer.note_decisions(&self.ledger.counts());
        self.outputs.decisions.publish(self.ledger.decisions());
    }

    fn tell(&mut self, status: Status) {
        if self.status.as_ref() != Some(&status) {
            self.status = Some(status.clone());
            self.outputs.status.publish(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use gangway_model::{ClientPlace, Judgement, NoGeography, Reputation};
    use gangway_publish::{Reader, channel};

    use super::*;

    /// Answers what a test has written down, and nothing new after that.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Script>>);

    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<String, EngineError>>,
        pulls: Vec<Pull>,
        is_silent: bool,
    }

    impl Source for Written {
        async fn pull(&self, pull: Pull) -> Result<Bytes, EngineError> {
            let (answer, is_silent) = {
                let mut script = self.0.lock().expect("whole");
                script.pulls.push(pull);
                (script.answers.pop_front(), script.is_silent)
            };
            if is_silent {
                sleep(Duration::from_secs(30)).await;
                return Err(silent());
            }
            answer.unwrap_or_else(|| Ok(told(&[], &[]))).map(Bytes::from)
        }
    }

    fn silent() -> EngineError {
        EngineError::Unreachable("no answer within 30 s".to_owned())
    }

    /// Decisions that have come, by number, address and time, and numbers of those that have gone.
    fn told(new: &[(i64, &str, &str)], deleted: &[i64]) -> String {
        let decision = |id: i64, address: &str, duration: &str| {
            format!(r#"{{"id":{id},"duration":"{duration}","scope":"Ip","value":"{address}","origin":"cscli"}}"#)
        };
        let new: Vec<_> = new.iter().map(|(id, address, duration)| decision(*id, address, duration)).collect();
        let deleted: Vec<_> = deleted.iter().map(|id| decision(*id, "192.0.2.7", "-1s")).collect();
        format!(r#"{{"new":[{}],"deleted":[{}]}}"#, new.join(","), deleted.join(","))
    }

    struct Followed {
        written: Written,
        bouncer: Bouncer,
        decisions: Reader<Decisions>,
        status: Reader<Status>,
    }

    fn following(answers: impl IntoIterator<Item = Result<String, EngineError>>) -> Followed {
        let written = Written::default();
        written.0.lock().expect("whole").answers.extend(answers);
        let ((decisions, reader), (status, of_status)) = (channel(Decisions::default()), channel(Status::default()));
        let bouncer = Bouncer::new(reader.clone()).expect("good names");
        tokio::spawn(follow_source(written.clone(), bouncer.clone(), Outputs { decisions, status }));
        Followed { written, bouncer, decisions: reader, status: of_status }
    }

    impl Followed {
        fn judged(&self, address: &str) -> Judgement {
            self.bouncer.judge(&ClientPlace::new(address.parse().expect("an address"), &NoGeography))
        }

        fn is_banned(&self, address: &str) -> bool {
            matches!(self.judged(address), Judgement::Banned { .. })
        }

        fn pulls(&self) -> Vec<Pull> {
            self.written.0.lock().expect("whole").pulls.clone()
        }

        /// Lets time pass until the engine was asked this often, and what it said was taken in.
        async fn asked(&self, times: usize) {
            while self.pulls().len() < times {
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    const A: &str = "192.0.2.7";
    const B: &str = "2001:db8::7";

    #[tokio::test(start_paused = true)]
    async fn changes_are_taken_in_every_ten_seconds() {
        let followed = following([
            Ok(told(&[(1, A, "4h"), (2, A, "4h")], &[])),
            Ok(told(&[(3, B, "4h")], &[2])),
            Ok(told(&[], &[1])),
        ]);
        assert_eq!(followed.judged(A), Judgement::Unknown);
        let start = Instant::now();
        followed.asked(1).await;
        assert!(followed.is_banned(A) && !followed.is_banned(B));
        followed.asked(2).await;
        assert!(followed.is_banned(A) && followed.is_banned(B), "another decision about it goes on");
        followed.asked(3).await;
        assert!(!followed.is_banned(A) && followed.is_banned(B));
        assert_eq!(followed.pulls(), [Pull::All, Pull::Changes, Pull::Changes]);
        assert_eq!(start.elapsed().as_secs(), 20);
        assert_eq!(followed.status.load().trouble, None);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_everything_is_read_anew_and_meanwhile_the_last_decisions_hold() {
        for error in [EngineError::Refused(403), silent(), EngineError::Invalid("500".to_owned())] {
            let followed = following([
                Ok(told(&[(1, A, "4h")], &[])),
                Err(error.clone()),
                Ok("{\"message\":\"not the stream\"}".to_owned()),
                Ok(told(&[(7, B, "4h")], &[])),
            ]);
            followed.asked(2).await;
            assert_eq!(followed.status.load().trouble, Some(error));
            assert!(followed.status.load().is_known && followed.is_banned(A));
            followed.asked(3).await;
            assert!(matches!(followed.status.load().trouble, Some(EngineError::Invalid(_))) && followed.is_banned(A));
            followed.asked(4).await;
            assert!(followed.status.load().trouble.is_none());
            assert!(!followed.is_banned(A) && followed.is_banned(B), "it has other decisions now");
            followed.asked(5).await;
            let (all, changes) = (Pull::All, Pull::Changes);
            assert_eq!(followed.pulls(), [all, changes, all, all, changes]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_ends_in_time_though_the_engine_is_silent() {
        let followed = following([Ok(told(&[(1, A, "15s"), (2, B, "4h")], &[]))]);
        followed.asked(1).await;
        followed.written.0.lock().expect("whole").is_silent = true;
        followed.asked(2).await;
        assert!(followed.is_banned(A), "its time is not over");
        sleep(Duration::from_secs(6)).await;
        assert_eq!(followed.pulls().len(), 2, "the question is still open");
        assert!(!followed.is_banned(A) && followed.is_banned(B));
    }

    #[tokio::test(start_paused = true)]
    async fn decisions_that_end_one_after_the_other_are_taken_out_together() {
        let ends: Vec<String> = (0..900).map(|number| format!("{}ms", 20_000 + number)).collect();
        let all: Vec<_> = ends.iter().zip(1..).map(|(end, id)| (id, A, &**end)).collect();
        let followed = following([Ok(told(&all, &[]))]);
        followed.asked(3).await;
        let before = followed.decisions.generation().count();
        sleep(Duration::from_secs(3)).await;
        assert!(!followed.is_banned(A));
        assert_eq!(followed.decisions.generation().count(), before + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_answer_nobody_is_judged_and_that_is_said_soon() {
        let followed = following([]);
        followed.written.0.lock().expect("whole").is_silent = true;
        let start = Instant::now();
        followed.status.first().await.expect("it follows");
        assert_eq!(start.elapsed(), FIRST_WAIT);
        assert!(followed.status.load().trouble.is_some() && !followed.status.load().is_known);
        assert_eq!(followed.judged(A), Judgement::Unknown);
        followed.asked(2).await;
        assert_eq!(followed.status.load().trouble, Some(silent()));
        assert_eq!(followed.judged(A), Judgement::Unknown);
        followed.written.0.lock().expect("whole").is_silent = false;
        followed.asked(3).await;
        assert_eq!(followed.judged(A), Judgement::Free);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_read_again_once_an_hour() {
        let followed = following([]);
        let polls = usize::try_from(ALL_EVERY.as_secs() / POLL_EVERY.as_secs()).expect("few");
        followed.asked(polls + 3).await;
        let all = followed.pulls().iter().filter(|pull| **pull == Pull::All).count();
        assert_eq!(all, 2);
    }
}
