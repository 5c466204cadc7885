//! The events of an engine, as its command line prints them, with the time of the engine's clock.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Events of some containers, from now on.
#[derive(Debug)]
pub struct EngineEvents {
    heard: Arc<Mutex<Vec<EngineEvent>>>,
    count: watch::Receiver<usize>,
    child: Child,
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EngineEvent {
    /// Since 1970.
    pub at: Duration,
    /// Such as `start` or `health_status: healthy`.
    pub action: String,
}

impl EngineEvents {
    /// Of one compose project's.
    pub fn of_project(url: &str, project: &str) -> Self {
        Self::of(url, &format!("com.docker.compose.project={project}"))
    }

    /// Of those with this label. What happens after this call is heard.
    pub fn of(url: &str, label: &str) -> Self {
        // By name of the second: what happened just before may be heard as well, what happens now is.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut child = Command::new("docker")
            .args(["--host", url, "events", "--since", &now.to_string(), "--format", "{{.TimeNano}} {{.Action}}"])
            .args(["--filter", "type=container"])
            .args(["--filter", &format!("label={label}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker can be run");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (told, count) = watch::channel(0);
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for event in lines.map_while(Result::ok).filter_map(|line| parsed(&line)) {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(event);
                told.send_replace(all.len());
            }
        });
        Self { heard, count, child }
    }

    /// All events so far.
    pub fn heard(&self) -> Vec<EngineEvent> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notified of every event.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.clone()
    }

    /// How long there was nobody to answer: each time from the signal that ended the one to when the
    /// engine called the next one healthy.
    pub fn gaps(&self) -> Vec<Duration> {
        gaps(&self.heard())
    }
}

impl Drop for EngineEvents {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parsed(line: &str) -> Option<EngineEvent> {
    let (at, action) = line.split_once(' ')?;
    Some(EngineEvent { at: Duration::from_nanos(at.parse().ok()?), action: action.to_owned() })
}

fn gaps(events: &[EngineEvent]) -> Vec<Duration> {
    let mut begun = None;
    let mut gaps = Vec::new();
    for event in events {
        match &*event.action {
            "kill" => begun = begun.or(Some(event.at)),
            "health_status: healthy" => gaps.extend(begun.take().map(|begun| event.at.saturating_sub(begun))),
            _ => {}
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lasts_from_the_signal_to_the_next_healthy_one() {
        let lines = "1000 health_status: healthy\n2000 kill\n3000 die\n4000 kill\n5000 start\n9000 health_status: healthy\n\
                     no number\n10000 health_status: healthy\n11000 kill";
        let events: Vec<_> = lines.lines().filter_map(parsed).collect();
        assert_eq!(events.len(), 8);
        assert_eq!(gaps(&events), [Duration::from_nanos(7000)]);
    }
}
