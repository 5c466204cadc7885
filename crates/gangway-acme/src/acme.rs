//! One task that obtains certificates: the [worker](crate::worker), and beside it the questions about names on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use gangway_publish::{Publisher, Reader, channel};
use gangway_tls::{Challenges, Demand};

use crate::challenge::Solver;
use crate::clock::Clock;
use crate::directory_url::DirectoryUrl;
use crate::on_demand::{OnDemand, OnDemandSettings, Permits, decide};
use crate::settings::AcmeSettings;
use crate::storage::Storage;
use crate::worker::{AcmeView, WorkerSettings, work};

/// A client of ACME CAs, not yet running.
#[derive(Debug)]
pub struct Acme<S> {
    /// The CAs, and the settings for requests to them.
    pub settings: AcmeSettings,
    /// The CAs that are chosen for names, by their directories. The others are ordered from any CA.
    pub chosen: Reader<BTreeMap<Box<str>, DirectoryUrl>>,
    /// The settings and the demand for names that no route lists. If `None`, such names get no certificate.
    pub on_demand: Option<(OnDemandSettings, Arc<Demand>)>,
    /// The storage of accounts, certificates and histories.
    pub storage: S,
    /// The time of day.
    pub clock: Clock,
}

/// The values that a running client publishes.
#[derive(Debug)]
pub struct AcmeOutputs {
    /// Certificates and findings; first published after the volume was read.
    pub views: Publisher<AcmeView>,
    /// Answers that the server must give while CAs validate names.
    pub challenges: Publisher<Arc<Challenges>>,
}

impl<S: Storage> Acme<S> {
    /// Keeps certificates for the `wanted` names, for ever.
    pub async fn run(self, wanted: Reader<BTreeSet<Box<str>>>, outputs: AcmeOutputs) -> Infallible {
        let Self { settings, chosen, on_demand, storage, clock } = self;
        let settings = Arc::new(settings);
        let (permits_tx, permits) = channel(Permits::default());
        let known = on_demand.as_ref().map(|(settings, demand)| OnDemand {
            demand: Arc::clone(demand),
            takes: settings.takes.clone(),
            permits,
        });
        let solver = Solver::new(outputs.challenges);
        let root_pem = settings.root_pem.clone();
        let worker = WorkerSettings { storage, settings, chosen, clock: clock.clone(), solver, on_demand: known };
        tokio::select! {
            never = work(worker, wanted, outputs.views) => never,
            Some(never) = async {
                let (settings, demand) = on_demand?;
                Some(decide(settings, demand, root_pem.as_deref(), clock, permits_tx).await)
            } => never,
        }
    }
}
