//! The files of `--geoip`, which tell the country and the autonomous system of clients.
//!
//! The files are looked at every two seconds rather than watched, as bind mounts lose notifications. A file that has
//! changed is read once two looks agree, so that half a copy is not taken for a whole one. What was read last stays in
//! force until something that is whole replaces it, since an update of a file may fail. Routes whose lists name places
//! that no file has ever told are closed by the data plane.

use std::convert::Infallible;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{Compiled, Middleware, PlaceKind, Route};
use gangway_proxy::{GeoDatabase, GeoDatabases};
use gangway_publish::{Publisher, Reader};

use crate::finding_log::FindingLog;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The written ends of what the task knows.
pub(super) struct GeoOutputs {
    pub(super) geography: Publisher<GeoDatabases>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Follows the files, for ever. Publishes once at the start in any case.
pub(super) async fn follow(files: Vec<PathBuf>, compiled: Reader<Compiled>, mut outputs: GeoOutputs) -> Infallible {
    if files.is_empty() {
        outputs.geography.publish(GeoDatabases::default());
        return std::future::pending().await;
    }
    let mut files = GeoFiles::new(files);
    let mut log = FindingLog::default();
    let mut is_first = true;
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let is_changed = files.look();
            (files, is_changed)
        });
        match looked.await {
            Ok((next, is_changed)) => {
                files = next;
                if is_changed || is_first {
                    is_first = false;
                    outputs.geography.publish(files.in_force());
                }
                let findings = files.findings(&compiled.load());
                if log.tell(&findings) {
                    outputs.findings.publish(findings);
                }
            }
            // A panic would be a bug; what was published stays in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the files of `--geoip`");
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// By what a change of a file is recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    modified: (i64, i64),
    len: u64,
    file: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            len: metadata.len(),
            file: (metadata.dev(), metadata.ino()),
        }
    }
}

/// The state of all files at the last look.
#[derive(Debug)]
struct GeoFiles(Vec<GeoFile>);

/// The state of one file at the last look.
#[derive(Debug)]
struct GeoFile {
    path: PathBuf,
    /// As it was when it was looked at.
    seen: Option<Stamp>,
    /// As it was when it was read.
    read: Option<Stamp>,
    /// What was read last and was whole.
    database: Option<Arc<GeoDatabase>>,
    /// What is wrong with it now.
    trouble: Option<String>,
}

impl GeoFiles {
    fn new(paths: Vec<PathBuf>) -> Self {
        let file = |path| GeoFile { path, seen: None, read: None, database: None, trouble: None };
        Self(paths.into_iter().map(file).collect())
    }

    /// Reads what has changed. Returns whether other data are in force.
    fn look(&mut self) -> bool {
        // Every file is looked at, also when one before it has changed.
        self.0.iter_mut().map(GeoFile::look).fold(false, |any, is_changed| any | is_changed)
    }

    fn first_of(&self, kind: PlaceKind) -> Option<&GeoFile> {
        self.0.iter().find(|file| file.kind() == Some(kind))
    }

    fn in_force(&self) -> GeoDatabases {
        let database = |kind| self.first_of(kind).and_then(|file| file.database.clone());
        GeoDatabases { country: database(PlaceKind::Country), autonomous_system: database(PlaceKind::AutonomousSystem) }
    }

    /// Findings about files, and about routes that need what no file tells.
    fn findings(&self, compiled: &Compiled) -> Vec<Diagnostic> {
        let of_files = self.0.iter().filter_map(|file| file.finding().or_else(|| self.second(file)));
        // What a file that was never whole would have told is not known; its own finding is enough.
        let is_all_read = self.0.iter().all(|file| file.database.is_some());
        let kinds = [PlaceKind::Country, PlaceKind::AutonomousSystem].into_iter();
        let missing = kinds.filter(|kind| is_all_read && self.first_of(*kind).is_none());
        let missing = missing.filter_map(|kind| without_database(kind, compiled));
        of_files.chain(missing).collect()
    }

    /// The finding about a file that tells what one before it tells.
    fn second(&self, file: &GeoFile) -> Option<Diagnostic> {
        let kind = file.kind()?;
        let first = self.first_of(kind).filter(|first| first.path != file.path)?;
        let (first, second) = (first.path.display(), file.path.display());
        let message = format!("`{second}` tells the {kind} of clients, as `{first}` does");
        Some(
            Diagnostic::warning(codes::GEOIP_FILE_UNUSED, place(&file.path), message)
                .with_help("take one of them out of `--geoip`")
                .with_effect(format!("`{first}` counts")),
        )
    }
}

impl GeoFile {
    fn kind(&self) -> Option<PlaceKind> {
        self.database.as_ref().map(|database| database.kind())
    }

    /// Reads the file if it has changed. Returns whether its data are others.
    fn look(&mut self) -> bool {
        let stamp = match stamp(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                (self.seen, self.read) = (None, None);
                self.trouble = Some(error.to_string());
                return false;
            }
        };
        let is_settled = self.seen.replace(stamp) == Some(stamp);
        // At the start there is nothing that could stay in force meanwhile.
        if self.read == Some(stamp) || !is_settled && self.database.is_some() {
            return false;
        }
        self.read = Some(stamp);
        match read(&self.path).and_then(|content| GeoDatabase::parse(content).map_err(io::Error::other)) {
            Ok(database) if self.kind().is_some_and(|kind| kind != database.kind()) => {
                // Routes that need the former would have nothing; the user may have mixed files up.
                let kind = database.kind();
                self.trouble = Some(format!("it tells the {kind} of clients now, which is not what it told before"));
                false
            }
            Ok(database) => {
                tracing::info!(file = %self.path.display(), tells = %database.kind(), "a file of `--geoip` is in force");
                self.database = Some(Arc::new(database));
                self.trouble = None;
                true
            }
            Err(error) => {
                // Somebody may have been writing it, so it is read once more.
                self.read = is_settled.then_some(stamp);
                self.trouble = Some(error.to_string());
                false
            }
        }
    }

    fn finding(&self) -> Option<Diagnostic> {
        let message = format!("`{}` cannot be used: {}", self.path.display(), self.trouble.as_ref()?);
        let effect = match &self.database {
            Some(_) => "what was read of it last stays in force",
            None => "routes whose `allow` or `deny` need it are closed: they answer 503",
        };
        let help =
            "put a database of countries or of AS numbers there, such as GeoLite2-Country.mmdb or GeoLite2-ASN.mmdb";
        Some(Diagnostic::error(codes::GEOIP_FILE, place(&self.path), message).with_help(help).with_effect(effect))
    }
}

fn place(path: &Path) -> Place {
    Place::Name(path.display().to_string().into())
}

/// The finding about routes that need what no file tells.
fn without_database(kind: PlaceKind, compiled: &Compiled) -> Option<Diagnostic> {
    let mut needing = compiled.table.routes().iter().filter(|route| asks_for(route, kind));
    let (first, others) = (needing.next()?, needing.count());
    let routes = match others {
        0 => format!("route `{}` needs", first.name),
        others => format!("route `{}` and {others} more need", first.name),
    };
    let (what, file) = match kind {
        PlaceKind::Country => ("countries", "GeoLite2-Country.mmdb"),
        PlaceKind::AutonomousSystem => ("AS numbers", "GeoLite2-ASN.mmdb"),
    };
    Some(
        Diagnostic::error(
            codes::GEOIP_KIND_MISSING,
            Place::Flag("--geoip".into()),
            format!("{routes} a database of {what}, and no file of `--geoip` is one"),
        )
        .with_help(format!("name such a file as well, such as `--geoip /geoip/{file}`"))
        .with_effect("they answer 503 to clients about whom their lists do not decide by address"),
    )
}

fn asks_for(route: &Route, kind: PlaceKind) -> bool {
    route.middlewares.iter().filter_map(Middleware::address_filter).any(|filter| filter.asks_for(kind))
}

/// The stamp of a file. Opening anything else may take for ever, as with a pipe.
fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(Stamp::of(&metadata))
}

fn read(path: &Path) -> io::Result<Box<[u8]>> {
    let (mut content, mut file) = (Vec::new(), File::open(path)?);
    let too_large = || io::Error::other("it is larger than 128 MiB");
    if file.metadata()?.len() > GeoDatabase::BYTES_MAX {
        return Err(too_large());
    }
    file.by_ref().take(GeoDatabase::BYTES_MAX + 1).read_to_end(&mut content)?;
    // It may be growing.
    if content.len() as u64 > GeoDatabase::BYTES_MAX {
        return Err(too_large());
    }
    Ok(content.into())
}
