//! `gangway traefik --compare URL`: what a running Traefik serves, beside what Gangway would serve in its place.
//!
//! Traefik tells its routers, services and middlewares at `/api/rawdata`. They become keys such as its file provider reads, and are
//! compiled like our own side, so that what is compared is what requests would meet. Our side is read from the engine and the files
//! once. Nothing is opened, and nothing is changed.

mod fetch;
mod raw_data;
mod report;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::Diagnostic;
use gangway_model::{Compiled, Settings, Snapshot, compile};
use gangway_publish::{Published, channel};
use gangway_watcher::{DockerEnvironment, Engine, watch};

use self::raw_data::RawData;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::settings::{EnvironmentLayer, ServeSettings, read_environment};
use crate::traefik::InTraefiksPlace;

/// Longer than any engine needs to list its containers.
const ENGINE_TIME: Duration = Duration::from_secs(30);

/// What a wrong variable of Gangway causes here.
const NOTHING_COMPARED: &str = "nothing is compared";

/// Takes `--compare` with its URL out of the arguments, if it is there.
pub(crate) fn take_url(arguments: &[String]) -> (Vec<String>, Option<String>) {
    let (mut rest, mut url) = (Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--compare") {
            Some("") => url = Some(arguments.next().cloned().unwrap_or_default()),
            Some(value) if value.starts_with('=') => url = Some(value[1..].to_owned()),
            Some(_) | None => rest.push(argument.clone()),
        }
    }
    (rest, url)
}

/// Compares, and ends with 0 (all is the same), 1 (something differs) or 2 (it could not be compared).
pub(crate) fn run(url: &str, place: InTraefiksPlace) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let compared = runtime.map_err(|error| format!("failed to start: {error}")).and_then(|runtime| {
        // Following the engine has no end, and is left behind.
        let compared = runtime.block_on(compare(url, place));
        runtime.shutdown_background();
        compared
    });
    match compared {
        Ok((text, is_same)) => {
            print(text);
            if is_same { ExitStatus::Success.into() } else { ExitStatus::Problem.into() }
        }
        Err(why) => {
            print_error(format_args!("gangway traefik --compare: {why}"));
            ExitStatus::Usage.into()
        }
    }
}

async fn compare(url: &str, place: InTraefiksPlace) -> Result<(String, bool), String> {
    let text = fetch::rawdata(url).await?;
    let raw = RawData::parse(&text)?;
    let (engines, settings) = our_settings(place)?;
    let mut traefik = settings.traefik.clone().unwrap_or_default();
    let theirs = Settings {
        listeners: settings.listeners.clone(),
        // What plug-ins need is there on both sides or on neither.
        has_geoip: settings.has_geoip,
        has_crowdsec: settings.has_crowdsec,
        has_appsec: settings.has_appsec,
        ..Settings::default()
    };
    let ours = our_table(engines, settings).await?;
    // Traefik does not tell these, so they are taken from the files for both sides.
    let is_untold = |path: &[Box<str>]| {
        path.first().is_some_and(|first| first.eq_ignore_ascii_case("tls"))
            || path.get(1).is_some_and(|second| second.eq_ignore_ascii_case("serversTransports"))
    };
    traefik.dynamic.retain(|key| is_untold(&key.path));
    traefik.dynamic.extend(raw.keys().iter().cloned());
    let theirs = compile(&Snapshot::default(), &Settings { traefik: Some(traefik), ..theirs });
    let report = report::Report::new(&raw, &theirs.table, &ours.table);
    Ok((report.to_string(), report.is_same()))
}

/// The engines, and what Gangway would make a table of, with everything that serving would read.
fn our_settings(place: InTraefiksPlace) -> Result<(Vec<Engine>, Settings), String> {
    let first = |found: Vec<Diagnostic>| {
        found.first().map_or_else(|| "the settings cannot be used".to_owned(), |found| found.message.clone())
    };
    let EnvironmentLayer { layer, diagnostics, .. } = read_environment(std::env::vars_os(), NOTHING_COMPARED);
    if !diagnostics.is_empty() {
        return Err(first(diagnostics));
    }
    let variable = |name: &str| std::env::var(name).ok();
    let docker = DockerEnvironment { host: variable("DOCKER_HOST"), tls_verify: variable("DOCKER_TLS_VERIFY") };
    let mut unusable = Vec::new();
    let process = place.readable_below(&layer, &docker, &mut unusable);
    // Without its engine every router would be missing.
    if !unusable.is_empty() {
        return Err(first(unusable));
    }
    let raw = process.read().map_err(first)?;
    let (settings, errors) = ServeSettings::parse(&raw, &docker);
    let settings =
        settings.ok_or_else(|| first(errors.iter().map(|error| error.diagnostic(NOTHING_COMPARED)).collect()))?;
    let (listeners, traefik) = place.for_reading();
    let for_model = Settings { listeners, traefik: Some(traefik), ..settings.for_model(raw.routes, raw.middlewares) };
    Ok((settings.docker, for_model))
}

/// What Gangway would serve, read once.
async fn our_table(engines: Vec<Engine>, for_model: Settings) -> Result<Arc<Published<Compiled>>, String> {
    let (tables, table) = channel(Compiled::default());
    let (statuses, status) = channel(Vec::new());
    let (_settings, settings_in_force) = channel(for_model);
    let (_released, released) = channel(BTreeSet::new());
    let mut published = table.clone();
    tokio::select! {
        never = watch(engines, settings_in_force, released, tables, statuses) => match never {},
        _ = published.changed() => {}
        () = tokio::time::sleep(ENGINE_TIME) => {}
    }
    let trouble = status.load().iter().find_map(|engine| engine.trouble.clone());
    match trouble {
        Some(trouble) => Err(format!("failed to {trouble}")),
        None if table.generation().count() == 0 => Err("failed to read the engine: no answer".to_owned()),
        None => Ok(table.load_full()),
    }
}
