//! The faults of the soak, one after the other, again and again.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::scene::lasts;
use crate::soak::stage::Stage;

/// The time between two faults.
const PAUSE: Duration = Duration::from_secs(2);

/// How long an engine hangs, or is gone.
const ENGINE_GONE: Duration = Duration::from_secs(2);

/// The number of faults that came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    replaced: u32,
    crashes: u32,
    swaps: u32,
    engine: u32,
}

impl Faults {
    /// Makes faults until this moment.
    pub async fn until(stage: &mut Stage, end: Instant) -> Self {
        let mut faults = Self::default();
        for number in 0_u32.. {
            if Instant::now() >= end {
                break;
            }
            match number % 5 {
                0 | 2 => {
                    stage.replace_turning().await;
                    faults.replaced += 1;
                }
                1 => {
                    stage.crash().await;
                    faults.crashes += 1;
                }
                3 => {
                    for _ in 0..10 {
                        stage.swap_tables().await;
                        faults.swaps += 2;
                    }
                }
                _ => {
                    // By turns, and not while a container changes: what an engine does not say is not known.
                    if number % 10 == 4 {
                        stage.freeze_engine(ENGINE_GONE).await;
                    } else {
                        stage.kill_engine(ENGINE_GONE).await;
                    }
                    faults.engine += 1;
                    // It is heard again before anything else happens.
                    stage.swap_tables().await;
                }
            }
            lasts(PAUSE).await;
        }
        faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replaced, crashes, swaps, engine } = self;
        write!(
            f,
            "{replaced} containers replaced, {crashes} crashes, {swaps} tables swapped, engine gone {engine} times"
        )
    }
}
