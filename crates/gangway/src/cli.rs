//! The command line. clap derives the commands from these types; the flags of `serve` come from the settings schema.

mod serve_flags;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::serve_flags::ServeFlags;
use crate::settings::schema::{ADMIN, CONFIG, DATA};

/// Put a label on a container and it is on the web, with HTTPS.
///
/// All commands except `serve` end with 0 (fine), 1 (a problem was found), 2 (wrong usage) or 3 (the instance cannot
/// be reached). As the main process of a container, `gangway` alone is `gangway serve`.
#[derive(Debug, Parser)]
#[command(name = "gangway", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Follow the engine and serve
    Serve(ServeFlags),
    /// Check compose files, the config file and files of Traefik, offline
    Check(CheckArgs),
    /// Print a stack with Traefik's labels with labels of Gangway
    Migrate(MigrateArgs),
    /// Ask the running instance which route takes a request, and why
    Explain(ExplainArgs),
    /// List the routes in force
    Routes(RoutesArgs),
    /// Show how many requests each route has and how long they take, again and again on a terminal
    Top(QueryArgs),
    /// Show requests, what changes, findings and the log of the running instance as they come, or those about one route
    Log(LogArgs),
    /// List certificates, import those of other software, or change account keys
    Certs(CertsArgs),
    /// Show the state of the running instance
    Status(QueryArgs),
    /// List the holder of each host, since when, and the refused claims
    Hosts(HostsArgs),
    /// Give a host up, so that another project can have it
    Release(ReleaseArgs),
    /// List who is logged in by `auth.oidc`, or log users out
    Sessions(SessionsArgs),
    /// Print the internal root, or put it into this system's store or out of it
    Ca(CaArgs),
    /// Turn a password into a hash for `auth.basic`
    Hash(HashArgs),
    /// Tell by the exit code whether the running instance is ready
    Healthcheck(InstanceArgs),
    /// Print a script that completes commands and flags, for a shell
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages of all commands into a folder
    Man(ManArgs),
    /// Print the version
    Version,
}

/// The way to the running instance.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct InstanceArgs {
    /// Its admin address; also GANGWAY_ADMIN [default: 127.0.0.1:8420]
    #[arg(long, value_name = ADMIN.value)]
    pub(crate) admin: Option<String>,
    /// The config file that it was started with; also GANGWAY_CONFIG
    #[arg(long, value_name = CONFIG.value)]
    pub(crate) config: Option<PathBuf>,
}

/// The way to the volume.
#[derive(Args, Clone, Debug)]
pub(crate) struct VolumeArgs {
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
}

/// A query to the running instance.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    /// Compose files, merged in this order, `-` is standard input; the config file, which ends in `.toml`; or Traefik's own
    /// files, which are known by their content
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Variables for the compose files, instead of `.env`; may be given several times
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: CheckFormat,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct MigrateArgs {
    /// Compose files, merged in this order, and Traefik's own files, which are known by their content
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Variables for the compose files, instead of `.env`; may be given several times
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<String>,
}

/// The format of the output of `check`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning and editors
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RoutesArgs {
    /// Show them again whenever they change, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LogArgs {
    /// Show only the requests of this route, and what changes and is found about it: its name, or its id as in the API
    #[arg(value_name = "ROUTE")]
    pub(crate) route: Option<String>,
    /// End after what there is now
    #[arg(long)]
    pub(crate) no_follow: bool,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExplainArgs {
    /// The URL as in a browser, such as `https://shop.example.org/cart`
    pub(crate) url: String,
    /// The request's method
    #[arg(long, value_name = "M", default_value = "GET")]
    pub(crate) method: String,
    /// The client's address [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<String>,
    /// The name of the listener that it comes to [default: the one for the URL]
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// A header field of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CertsCommand>,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Take over the certificates that Traefik, Caddy, certbot or acme-companion has obtained
    Import(ImportArgs),
    /// Have the running instance give each account with an authority another key
    Rekey(VolumeArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ImportArgs {
    /// Traefik's `acme.json`, or folders: Caddy's data, `/etc/letsencrypt`, acme-companion's volume
    #[arg(value_name = "PATH", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HostsArgs {
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ReleaseArgs {
    /// The host as `gangway hosts` lists it
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SessionsCommand>,
    #[command(flatten)]
    pub(crate) list: SessionListArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SessionListArgs {
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List the sessions that count, as without a subcommand
    List(SessionListArgs),
    /// End sessions: their cookies count no more, at any instance
    Revoke(RevokeArgs),
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct RevokeArgs {
    /// Sessions as `gangway sessions` lists them
    #[arg(value_name = "SESSION", group = "which")]
    pub(crate) sessions: Vec<String>,
    /// All sessions of this user
    #[arg(long, value_name = "NAME", group = "which")]
    pub(crate) user: Vec<String>,
    /// All sessions
    #[arg(long, group = "which", conflicts_with_all = ["sessions", "user"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CaArgs {
    /// Put it into this system's store
    #[arg(long)]
    pub(crate) install: bool,
    /// Take it out of this system's store
    #[arg(long, conflicts_with = "install")]
    pub(crate) uninstall: bool,
    #[command(flatten)]
    pub(crate) volume: VolumeArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HashArgs {
    /// Put this name before the hash, which makes a whole entry for `auth.basic`
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Double each dollar sign, as a compose file needs it
    #[arg(long)]
    pub(crate) compose: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ManArgs {
    /// Where they go, such as `/usr/local/share/man/man1`; made if it does not exist
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
