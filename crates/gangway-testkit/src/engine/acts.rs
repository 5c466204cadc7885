//! Acts of the fake engine's containers.
//!
//! Each act changes what listings say and tells the events that the flavour tells. Containers are named by
//! id or name; an unknown one is a mistake of the test.

use super::tell::now;
use super::{Container, Engine, Flavour};

impl Engine {
    /// Adds a container as it is, without an event. Returns its id.
    pub fn add(&self, container: Container) -> String {
        let mut state = self.state();
        let id = state.register(container);
        state.change(&id, |container| container.started = now());
        state.attach(&id);
        id
    }

    /// Makes a container that does not run yet. Returns its id.
    pub fn create(&self, mut container: Container) -> String {
        container.state = "created".into();
        let mut state = self.state();
        let id = state.register(container);
        state.tell_container(&id, "create", &[]);
        id
    }

    /// Makes a container and starts it. Returns its id.
    pub fn run(&self, container: Container) -> String {
        let id = self.create(container);
        self.start(&id);
        id
    }

    /// Starts it.
    pub fn start(&self, container: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| {
            container.state = "running".into();
            container.started = now();
            container.health = container.health.take().map(|_| "starting".to_owned());
        });
        state.attach(&id);
        state.tell_networks(&id, "connect");
        if state.flavour == Flavour::Podman {
            state.tell_container(&id, "init", &[]);
        }
        state.tell_container(&id, "start", &[]);
    }

    /// Sends it a signal, of which it knows nothing: it goes on. Follow with [`Self::end`].
    pub fn signal(&self, container: &str, signal: u8) {
        let mut state = self.state();
        let id = state.id_of(container);
        let number = signal.to_string();
        let attributes: &[(&str, &str)] = if state.flavour == Flavour::Podman { &[] } else { &[("signal", &number)] };
        state.tell_container(&id, "kill", attributes);
    }

    /// Its process ends.
    pub fn end(&self, container: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        let ends_last = state.flavour == Flavour::Docker2026;
        state.change(&id, |container| container.state = "exited".into());
        if !ends_last {
            state.tell_container(&id, "die", &[("exitCode", "0")]);
        }
        state.tell_networks(&id, "disconnect");
        state.detach(&id);
        if ends_last {
            state.tell_container(&id, "die", &[("exitCode", "0")]);
        }
    }

    /// Stops it: it is asked to stop, and does.
    pub fn stop(&self, container: &str) {
        let flavour = self.state().flavour;
        let id = self.state().id_of(container);
        if flavour == Flavour::Podman {
            self.end(&id);
            self.state().tell_container(&id, "cleanup", &[]);
            return;
        }
        self.signal(&id, 15);
        if flavour == Flavour::Docker2026 {
            self.state().tell_container(&id, "stop", &[]);
        }
        self.end(&id);
        if flavour == Flavour::Docker2020 {
            self.state().tell_container(&id, "stop", &[]);
        }
    }

    /// Stops it and starts it again.
    pub fn restart(&self, container: &str) {
        let podman = self.state().flavour == Flavour::Podman;
        let id = self.state().id_of(container);
        if podman {
            self.state().tell_container(&id, "restart", &[]);
        }
        self.stop(&id);
        self.start(&id);
        if !podman {
            self.state().tell_container(&id, "restart", &[]);
        }
    }

    /// Removes it, running or not.
    pub fn remove(&self, container: &str) {
        let (id, runs, podman) = {
            let state = self.state();
            let id = state.id_of(container);
            let runs = state.containers[&id].state == "running";
            (id, runs, state.flavour == Flavour::Podman)
        };
        if runs {
            self.signal(&id, 9);
            self.end(&id);
        }
        let mut state = self.state();
        state.tell_container(&id, if podman { "remove" } else { "destroy" }, &[]);
        state.containers.remove(&id);
    }

    /// Gives it another name.
    pub fn rename(&self, container: &str, name: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| container.name = name.into());
        state.tell_container(&id, "rename", &[]);
    }

    /// Freezes its processes.
    pub fn pause(&self, container: &str) {
        self.set_state(container, "paused", "pause");
    }

    /// Lets them go on.
    pub fn unpause(&self, container: &str) {
        self.set_state(container, "running", "unpause");
    }

    /// Its health check has a verdict: `starting`, `healthy` or `unhealthy`.
    pub fn set_health(&self, container: &str, verdict: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| container.health = Some(verdict.into()));
        let action = match state.flavour {
            Flavour::Podman => "health_status".to_owned(),
            _ => format!("health_status: {verdict}"),
        };
        state.tell_container(&id, &action, &[]);
    }

    /// A health check was made without a new verdict: noise, as every second a container on real engines.
    pub fn check_health(&self, container: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        for action in ["exec_create: /app hc", "exec_start: /app hc", "exec_die"] {
            state.tell_container(&id, action, &[]);
        }
    }

    /// Attaches it to one more network.
    pub fn join_network(&self, container: &str, network: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| container.networks.push((network.into(), None)));
        state.attach(&id);
        state.tell_network(&id, network, "connect");
    }

    /// Detaches it.
    pub fn leave_network(&self, container: &str, network: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| container.networks.retain(|(name, _)| name != network));
        state.tell_network(&id, network, "disconnect");
    }

    /// Its container's name and state now, for a test that follows what it did.
    pub fn state_of(&self, container: &str) -> Option<String> {
        let state = self.state();
        state.find(container).map(|id| state.containers[&id].state.clone())
    }

    fn set_state(&self, container: &str, to: &str, action: &str) {
        let mut state = self.state();
        let id = state.id_of(container);
        state.change(&id, |container| container.state = to.into());
        state.tell_container(&id, action, &[]);
    }
}
