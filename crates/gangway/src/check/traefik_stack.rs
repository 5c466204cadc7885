//! Traefik's own configuration, as far as compose files and the files beside them show it.
//!
//! Which kind of file one is shows in its content. Files that a service mounts are read where they lie beside the compose file;
//! those elsewhere on the host are another machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gangway_compose::{
    Environment, FileId, FileSpan, Input, Loader, Project, Service, SourceDiagnostic, SourceMap, SpannedText,
    is_gangway_label,
};
use gangway_diagnostic::{Code, Diagnostic, Place, Span, codes};
use gangway_model::{EntryPoint, EntryPointTls, KnownListener, ListenerName, ListenerProtocol, TraefikSettings};
use gangway_traefik::{
    DynamicFiles, DynamicFolder, FILE_NAMES, FileKind, FileProvider, GivenOption, StaticConfig, StaticReading,
    are_variables, file_kind, is_command_line, model_settings, read_static,
};

use super::disk::Disk;

/// Where Traefik looks for its file.
const FOLDER: &str = "/etc/traefik";

/// Files of Traefik that were named, by their kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenFiles {
    pub(crate) statics: Vec<String>,
    pub(crate) dynamics: Vec<String>,
}

impl GivenFiles {
    /// Takes those out of `files` that are Traefik's, by their content. What cannot be read is left for others to report.
    pub(crate) fn take_from(files: &mut Vec<String>) -> Self {
        let mut given = Self::default();
        files.retain(|file| match kind_of(file) {
            Some(FileKind::Static) => {
                given.statics.push(file.clone());
                false
            }
            Some(FileKind::Dynamic) => {
                given.dynamics.push(file.clone());
                false
            }
            None => true,
        });
        given
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statics.is_empty() && self.dynamics.is_empty()
    }
}

fn kind_of(file: &str) -> Option<FileKind> {
    if file == "-" || Path::new(file).is_dir() {
        return None;
    }
    let text = Disk::read_text(Path::new(file))?;
    file_kind(file, &text)
}

/// Everything of Traefik's that is known of one stack.
pub(crate) struct TraefikStack {
    pub(crate) config: StaticConfig,
    pub(crate) settings: TraefikSettings,
    /// Whether the static configuration was found. Otherwise entry points and resolvers are those that labels name.
    pub(crate) is_known: bool,
    /// The service that runs in Traefik's place.
    pub(crate) service: Option<String>,
    /// Each option of the static configuration that is in force.
    pub(crate) given: Vec<GivenOption>,
    /// What of it is not in force, one sentence each.
    pub(crate) without_equal: Vec<String>,
    /// Whether files of the file provider were found, or it has none.
    pub(crate) has_dynamic_files: bool,
    /// The files, by the names that diagnostics have.
    ids: BTreeMap<Box<str>, FileId>,
}

impl TraefikStack {
    /// Finds the configuration, and adds the diagnostics about it. None where nothing in these files is Traefik's, or where
    /// Gangway's own service does not run in Traefik's place.
    pub(crate) fn read(
        project: &Project,
        folder: &Path,
        given: &GivenFiles,
        environment: &Environment,
        loader: &mut Loader<'_>,
        found: &mut Vec<SourceDiagnostic>,
    ) -> Option<Self> {
        let service = project.proxy().filter(|service| service.is_traefik() || is_in_place(service));
        let has = |is_meant: fn(&str) -> bool| {
            project.services.values().any(|service| service.all_labels().keys().any(|key| is_meant(key)))
        };
        // Without a proxy in the files, labels of ours say that Gangway reads its own.
        let is_for_traefik = || project.proxy().is_none() && has(is_label) && !has(is_gangway_label);
        if service.is_none() && given.is_empty() && !is_for_traefik() {
            return None;
        }
        let mounts = Mounts { service, folder };
        let words = service.map(arguments).unwrap_or_default();
        let variables = service.map(Service::variables).unwrap_or_default();
        let of_traefik: Vec<(String, String)> = variables
            .iter()
            .filter(|(name, _)| name.starts_with("TRAEFIK_"))
            .map(|(name, (_, value))| (name.clone(), value.as_str().to_owned()))
            .collect();
        let named = named_file(&words, &of_traefik);
        let file = match (given.statics.first(), &named) {
            (Some(file), _) => Some(PathBuf::from(file)),
            (None, Some(inside)) => mounts.beside(Path::new(inside)).filter(|file| file.is_file()),
            (None, None) => {
                let mut inside = usual_files().filter_map(|file| mounts.beside(&file));
                inside.find(|file| file.is_file())
            }
        };
        let is_elsewhere = file.is_none() && (named.is_some() || mounts.may_hold(FOLDER));
        let mut given_words: Vec<String> = words.iter().map(|word| word.as_str().to_owned()).collect();
        let mut given_variables = of_traefik.clone();
        if named.is_some() {
            given_words = without_named_file(given_words);
            given_variables.retain(|(name, _)| name != "TRAEFIK_CONFIGFILE");
        }
        if let Some(file) = &file {
            given_words.push(format!("--configfile={}", file.display()));
        }
        let reading = read_static(&given_words, &given_variables, &[]);
        let mut ids = BTreeMap::new();
        if let Some(file) = &file {
            remember(file, loader, &mut ids);
        }
        let provider = reading.config.file.as_ref();
        let mut folders: Vec<FileProvider> =
            provider.and_then(|provider| mounts.provider(provider)).into_iter().collect();
        folders.extend(
            given.dynamics.iter().map(|file| FileProvider { filename: Some(file.into()), ..FileProvider::default() }),
        );
        let variable = |name: &str| match variables.get(name) {
            Some((_, value)) => Some(value.as_str().to_owned()),
            None => environment.get(name).map(str::to_owned),
        };
        let (mut keys, mut of_files) = (Vec::new(), Vec::new());
        for provider in &folders {
            let read = DynamicFolder::read(provider);
            for file in read.files() {
                remember(file, loader, &mut ids);
            }
            let files = DynamicFiles::default().updated(&read, &variable);
            keys.extend(files.keys());
            of_files.extend(files.diagnostics().to_vec());
        }
        let is_known = file.is_some() || (reading.source.is_some() && !is_elsewhere);
        let mut stack = Self {
            settings: model_settings(&reading.config, "", keys, &variable),
            is_known,
            service: service.map(|service| service.name.as_str().to_owned()),
            without_equal: without_equal(&reading),
            has_dynamic_files: provider.is_none() || !folders.is_empty(),
            config: reading.config,
            given: reading.given,
            ids,
        };
        if !is_known {
            stack.take_from_labels(project);
        }
        let start = loader.start();
        let all = reading.diagnostics.iter().chain(&of_files);
        found.extend(
            all.filter_map(|diagnostic| stack.moved(diagnostic, service, &words, loader.sources(), start.as_ref())),
        );
        Some(stack)
    }

    /// The listeners that its entry points are.
    pub(crate) fn listeners(&self) -> Vec<KnownListener> {
        let entry_points = self.settings.entry_points.iter();
        entry_points
            .map(|entry| KnownListener { name: entry.name.clone(), protocol: ListenerProtocol::Detected })
            .collect()
    }

    /// The beginning of its first file, if it has one.
    pub(crate) fn start(&self) -> Option<FileSpan> {
        self.ids.values().min().map(|id| FileSpan::new(*id, 0..0))
    }

    /// Whether a diagnostic says only that something is not in these files.
    pub(crate) fn may_be_elsewhere(&self, code: Code) -> bool {
        let is_of_provider = [codes::TRAEFIK_MIDDLEWARE_MISSING, codes::TRAEFIK_SERVICE_MISSING].contains(&code);
        !self.is_known && (is_of_provider || code == codes::TRAEFIK_TLS_OPTIONS)
    }

    /// A diagnostic about one of its files, at its place. None where it is about no file of these.
    pub(crate) fn locate(&self, diagnostic: &Diagnostic, sources: &SourceMap) -> Option<SourceDiagnostic> {
        let at = diagnostic.place.position()?;
        Some(locate(diagnostic, *self.ids.get(&at.file)?, sources))
    }

    /// Takes for granted what labels name: it is defined where Traefik runs.
    fn take_from_labels(&mut self, project: &Project) {
        let (mut entry_points, mut resolvers) = (BTreeSet::new(), BTreeSet::new());
        for service in project.services.values() {
            for (key, (_, value)) in service.all_labels().iter().filter(|(key, _)| is_label(key)) {
                let key = key.to_ascii_lowercase();
                if key.starts_with("traefik.http.") && key.ends_with(".entrypoints") {
                    entry_points.extend(value.as_str().split(',').filter_map(|name| ListenerName::parse(name.trim())));
                }
                if key.ends_with(".tls.certresolver") {
                    resolvers.insert(Box::from(value.as_str().trim()));
                }
            }
        }
        if entry_points.is_empty() {
            entry_points.extend(ListenerName::parse("websecure"));
        }
        let of_name = |name: ListenerName| {
            // By its name, as everybody calls it, since nothing else tells.
            let is_tls = ["secure", "https", "443"].iter().any(|part| name.contains(part));
            let tls = is_tls.then(EntryPointTls::default);
            EntryPoint { name, is_default: true, tls, redirection: None, middlewares: Vec::new() }
        };
        self.settings.entry_points = entry_points.into_iter().map(of_name).collect();
        self.settings.resolvers = resolvers.into_iter().collect();
    }

    /// A diagnostic of the static configuration or of the file provider, at its place.
    fn moved(
        &self,
        diagnostic: &Diagnostic,
        service: Option<&Service>,
        words: &[SpannedText],
        sources: &SourceMap,
        start: Option<&FileSpan>,
    ) -> Option<SourceDiagnostic> {
        if let Some(located) = self.locate(diagnostic, sources) {
            return Some(located);
        }
        let in_service = |span: FileSpan, service: &Service| {
            SourceDiagnostic::moved(sources, diagnostic, span).about_service(service.name.as_str())
        };
        match (&diagnostic.place, service) {
            (Place::Flag(written), Some(service)) => {
                let begins = |word: &&SpannedText| {
                    word.as_str().get(..written.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(written))
                };
                let word = words.iter().rev().find(begins);
                Some(in_service(word.map_or_else(|| service.name.span(), |word| part(word, diagnostic)), service))
            }
            (Place::Variable(name), Some(service)) => {
                let variables = service.variables();
                let value = variables.get(&**name).map(|(_, value)| value);
                Some(in_service(value.map_or_else(|| service.name.span(), SpannedText::span), service))
            }
            (Place::ConfigFile { .. } | Place::Configuration, Some(service)) => {
                Some(in_service(service.name.span(), service))
            }
            (
                Place::Flag(_)
                | Place::Variable(_)
                | Place::ConfigFile { .. }
                | Place::Configuration
                | Place::ComposeFile { .. }
                | Place::Container { .. }
                | Place::Name(_),
                _,
            ) => start.map(|start| SourceDiagnostic::moved(sources, diagnostic, start.clone())),
        }
    }
}

/// What is not in force, with what happens instead. Options that are in force in another way are among those that are given.
fn without_equal(reading: &StaticReading) -> Vec<String> {
    let is_given = |found: &Diagnostic| {
        found.code == codes::TRAEFIK_OPTION_WITHOUT_EFFECT
            && reading.given.iter().any(|option| *option.written == *found.text)
    };
    let sentence = |found: &Diagnostic| match found.effect.as_str() {
        "" => found.message.clone(),
        effect => format!("{}: {effect}", found.message),
    };
    reading.diagnostics.iter().filter(|found| !is_given(found)).map(sentence).collect()
}

/// The bytes of a word that a diagnostic about a flag is about.
fn part(word: &SpannedText, diagnostic: &Diagnostic) -> FileSpan {
    let (text, shown) = (word.as_str(), &diagnostic.text);
    let offset = if text.starts_with(shown.as_str()) { Some(0) } else { text.rfind(shown.as_str()) };
    let (start, end) = (diagnostic.span.start, diagnostic.span.end);
    match offset.filter(|offset| !shown.is_empty() && offset + end <= text.len() && start < end) {
        Some(offset) => word.locate(offset + start..offset + end).span,
        None => word.span(),
    }
}

/// Whether Gangway's service runs in Traefik's place: by its program, its command, or a file or variables of Traefik.
fn is_in_place(service: &Service) -> bool {
    let mut words: Vec<&str> = service.command.iter().map(SpannedText::as_str).collect();
    if let Some((program, rest)) = service.entrypoint.split_first() {
        match Path::new(program.as_str()).file_name().and_then(|name| name.to_str()) {
            Some("traefik") => return true,
            Some("gangway") => words.splice(0..0, rest.iter().map(SpannedText::as_str)).for_each(drop),
            Some(_) | None => {}
        }
    }
    let is_file = |inside: &str| usual_files().any(|file| file == Path::new(inside));
    let has_file = service.mounts.keys().any(|inside| *inside == *FOLDER || is_file(inside));
    match words.as_slice() {
        ["traefik" | "gangway", ..] => true,
        [] | ["serve"] => has_file || are_variables(service.variables().keys().map(String::as_str)),
        words => is_command_line(words.iter().copied()),
    }
}

/// Where Traefik looks for its file in the container: in its folder, and where it is started.
fn usual_files() -> impl Iterator<Item = PathBuf> {
    [FOLDER, "/"].into_iter().flat_map(|folder| FILE_NAMES.into_iter().map(move |name| Path::new(folder).join(name)))
}

/// The words behind the name of the program.
fn arguments(service: &Service) -> Vec<SpannedText> {
    let is_program = |word: &&SpannedText| matches!(word.as_str(), "traefik" | "gangway" | "serve");
    let is_called = |word: &SpannedText| {
        let name = Path::new(word.as_str()).file_name().and_then(|name| name.to_str());
        matches!(name, Some("traefik" | "gangway" | "entrypoint.sh"))
    };
    let entrypoint = service.entrypoint.split_first().filter(|(program, _)| is_called(program));
    let of_entrypoint = entrypoint.map(|(_, rest)| rest).unwrap_or_default();
    of_entrypoint.iter().chain(&service.command).skip_while(is_program).cloned().collect()
}

/// The file that `--configFile` or its variable names.
fn named_file(words: &[SpannedText], variables: &[(String, String)]) -> Option<String> {
    let mut words = words.iter().map(SpannedText::as_str);
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        if name.trim_start_matches('-').eq_ignore_ascii_case("configfile") {
            return value.or_else(|| words.next()).map(str::to_owned);
        }
    }
    variables.iter().find(|(name, _)| name == "TRAEFIK_CONFIGFILE").map(|(_, value)| value.clone())
}

fn without_named_file(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        if !name.trim_start_matches('-').eq_ignore_ascii_case("configfile") {
            kept.push(word);
        } else if !word.contains('=') {
            words.next();
        }
    }
    kept
}

/// Whether a label is one of Traefik's.
pub(crate) fn is_label(key: &str) -> bool {
    key.get(.."traefik.".len()).is_some_and(|begin| begin.eq_ignore_ascii_case("traefik."))
}

/// What a service mounts, seen from the folder of the compose file.
struct Mounts<'p> {
    service: Option<&'p Service>,
    folder: &'p Path,
}

impl Mounts<'_> {
    /// The file or folder beside the compose file that is `inside` the container.
    fn beside(&self, inside: &Path) -> Option<PathBuf> {
        let mounts = self.service.iter().flat_map(|service| &service.mounts);
        let (target, mount) =
            mounts.filter(|(target, _)| inside.starts_with(target)).max_by_key(|(target, _)| target.len())?;
        let source = mount.source.as_deref().filter(|source| source.starts_with('.'))?;
        let rest = inside.strip_prefix(target).ok()?;
        let whole = self.folder.join(source.trim_start_matches("./")).join(rest);
        // Nothing joined to a path leaves a slash at its end.
        Some(whole.components().collect())
    }

    /// Whether what is mounted there may hold a configuration that these files do not show.
    fn may_hold(&self, inside: &str) -> bool {
        let mut targets = self.service.iter().flat_map(|service| service.mounts.keys());
        targets.any(|target| Path::new(target).starts_with(inside))
            && self.service.is_some_and(|service| service.command.is_empty())
    }

    /// The provider with paths beside the compose file. None where they are elsewhere.
    fn provider(&self, provider: &FileProvider) -> Option<FileProvider> {
        let directory = provider.directory.as_deref().and_then(|path| self.beside(path)).filter(|path| path.is_dir());
        let filename = provider.filename.as_deref().and_then(|path| self.beside(path)).filter(|path| path.is_file());
        (directory.is_some() || filename.is_some()).then_some(FileProvider {
            filename,
            directory,
            watch: provider.watch,
        })
    }
}

/// Reads a file for the places in it. The reader of its content reports one that cannot be read.
fn remember(file: &Path, loader: &mut Loader<'_>, ids: &mut BTreeMap<Box<str>, FileId>) {
    if let Ok(id) = loader.read(&Input::Path(file.to_owned())) {
        ids.insert(file.display().to_string().into(), id);
    }
}

/// A diagnostic about a file of Traefik, with its bytes of the file.
fn locate(diagnostic: &Diagnostic, id: FileId, sources: &SourceMap) -> SourceDiagnostic {
    let key = diagnostic.place.subject().map(Into::into);
    let span = FileSpan::new(id, range(diagnostic, id, sources));
    let place = Place::ConfigFile { key, at: sources.file_position(&span) };
    let diagnostic = Diagnostic { place, text: String::new(), span: Span::default(), ..diagnostic.clone() };
    SourceDiagnostic { diagnostic, span }
}

fn range(diagnostic: &Diagnostic, id: FileId, sources: &SourceMap) -> std::ops::Range<usize> {
    let Some(at) = diagnostic.place.position() else { return 0..0 };
    let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (line, line_start) = sources.line(id, index(at.line).clamp(1, usize::MAX));
    let column = line.char_indices().nth(index(at.column).saturating_sub(1)).map_or(line.len(), |(byte, _)| byte);
    let (text, part) = (&*diagnostic.text, diagnostic.span.start..diagnostic.span.end);
    let last_key = |text: &str| {
        let last = text.rsplit('.').next().unwrap_or_default();
        last.split('[').next().unwrap_or_default().to_owned()
    };
    let candidates = [
        // The value, behind its quote if it has one.
        (line[column..].trim_start_matches(['"', '\'']).starts_with(text)).then(|| {
            let quotes = line[column..].len() - line[column..].trim_start_matches(['"', '\'']).len();
            (column + quotes + part.start)..(column + quotes + part.end)
        }),
        // The key, before the value or at the place itself.
        line[..column].rfind(&*last_key(text)).map(|at| at..at + last_key(text).len()),
        line[column..].find(&*last_key(text)).map(|at| column + at..column + at + last_key(text).len()),
    ];
    let found = candidates.into_iter().flatten().find(|range| !text.is_empty() && range.end <= line.len());
    let range = found.unwrap_or(column..column);
    line_start + range.start..line_start + range.end
}
