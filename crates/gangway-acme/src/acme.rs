//! One task that obtains certificates: the [worker](crate::worker), and beside it the questions about names on demand.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use gangway_publish::{Publisher, Reader, channel};
use gangway_tls::{Challenges, Demand};

use crate::challenge::Solver;
use crate::clock::Clock;
use crate::on_demand::{OnDemand, OnDemandSettings, Permits, decide};
use crate::settings::AcmeSettings;
use crate::storage::Storage;
use crate::worker::{AcmeView, WorkerSettings, work};

/// A client of ACME CAs, not yet running.
#[derive(Debug)]
pub struct Acme<S> {
    /// The CAs, and how to ask them.
    pub settings: AcmeSettings,
    /// Where names are wanted that nobody lists, and who permits them; none: they get no certificate.
    pub on_demand: Option<(OnDemandSettings, Arc<Demand>)>,
    /// Where accounts, certificates and histories are stored.
    pub storage: S,
    /// The time of day.
    pub clock: Clock,
}

/// What a running client publishes.
#[derive(Debug)]
pub struct AcmeOutputs {
    /// Certificates and findings; published for the first time once the volume was read.
    pub views: Publisher<AcmeView>,
    /// Answers that the server must give while CAs ask for them.
    pub challenges: Publisher<Arc<Challenges>>,
}

impl<S: Storage> Acme<S> {
    /// Keeps certificates for the names that are `wanted`, for ever.
    pub async fn run(self, wanted: Reader<BTreeSet<Box<str>>>, outputs: AcmeOutputs) -> Infallible {
        let Self { settings, on_demand, storage, clock } = self;
        let settings = Arc::new(settings);
        let (permits_tx, permits) = channel(Permits::default());
        let known = on_demand.as_ref().map(|(settings, demand)| OnDemand {
            demand: Arc::clone(demand),
            takes: settings.takes.clone(),
            permits,
        });
        let solver = Solver::new(outputs.challenges);
        let root_pem = settings.root_pem.clone();
        let worker = WorkerSettings { storage, settings, clock: clock.clone(), solver, on_demand: known };
        tokio::select! {
            never = work(worker, wanted, outputs.views) => never,
            Some(never) = async {
                let (settings, demand) = on_demand?;
                Some(decide(settings, demand, root_pem.as_deref(), clock, permits_tx).await)
            } => never,
        }
    }
}
