//! The command line: sub-commands by hand, the flags of `serve` from the schema.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::settings::schema::{ADMIN, CONFIG, Count, DATA, FLAGS, Flag, FlagStatus};
use crate::settings::{Layer, SettingValue};

/// Put a label on a container and it is on the web, with HTTPS.
///
/// All commands but `serve` end with 0 (fine), 1 (found something), 2 (used wrongly) or 3 (the instance cannot
/// be reached). As the main process of a container, `gangway` alone is `gangway serve`.
#[derive(Debug, Parser)]
#[command(name = "gangway", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Sub>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Sub {
    /// Follow the engine and serve
    Serve(ServeFlags),
    /// Check compose files and the config file, offline
    Check(Check),
    /// Ask the running instance which route takes a request, and why
    Explain(Explain),
    /// List the routes in force
    Routes(Routes),
    /// List certificates, import those of other software, or change account keys
    Certs(Certs),
    /// Say how the running instance is doing
    Status(Ask),
    /// List who holds which host, since when, and whose claims are refused
    Hosts(Hosts),
    /// Give a host up to whoever waits for it
    Release(Release),
    /// Print the internal root, or put it into this system's store or out of it
    Ca(Ca),
    /// Turn a password into a hash for `auth.basic`
    Hash(Hash),
    /// Say by the exit code whether the running instance is ready
    Healthcheck(Find),
    /// Print a script that completes commands and flags, for a shell
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the version
    Version,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// `check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    /// Compose files, merged in this order, `-` is standard input; or the config file, which ends in `.toml`
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Variables for the compose files, instead of `.env`; may be given several times
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: CheckFormat,
}

/// The form of what `check` prints.
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

/// How the running instance is found.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Find {
    /// Its admin address; also GANGWAY_ADMIN [default: 127.0.0.1:8420]
    #[arg(long, value_name = ADMIN.value)]
    pub(crate) admin: Option<String>,
    /// The config file that it was started with; also GANGWAY_CONFIG
    #[arg(long, value_name = CONFIG.value)]
    pub(crate) config: Option<PathBuf>,
}

/// A question to the running instance.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) find: Find,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `routes`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Routes {
    /// Show them again whenever they change, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `explain`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Explain {
    /// What a browser would be given, such as `https://shop.example.org/cart`
    pub(crate) url: String,
    /// The request's method
    #[arg(long, value_name = "M", default_value = "GET")]
    pub(crate) method: String,
    /// The client's address [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<String>,
    /// A header field of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    pub(crate) headers: Vec<String>,
    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// `certs`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Certs {
    #[command(subcommand)]
    pub(crate) act: Option<CertsAct>,
    #[command(flatten)]
    pub(crate) ask: Ask,
}

/// What is done about certificates.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CertsAct {
    /// Take over what Traefik, Caddy, certbot or acme-companion has obtained
    Import(Import),
    /// Have the running instance give each account with an authority another key
    Rekey(Rekey),
}

/// `certs import`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Import {
    /// Traefik's `acme.json`, or folders: Caddy's data, `/etc/letsencrypt`, acme-companion's volume
    #[arg(value_name = "PATH", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// `certs rekey`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Rekey {
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// `hosts`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Hosts {
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// `release`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Release {
    /// As `gangway hosts` lists it
    pub(crate) host: String,
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// `ca`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ca {
    /// Put it into this system's store
    #[arg(long)]
    pub(crate) install: bool,
    /// Take it out of this system's store
    #[arg(long, conflicts_with = "install")]
    pub(crate) uninstall: bool,
    /// The volume; also GANGWAY_DATA [default: /data]
    #[arg(long, value_name = DATA.value)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// `hash`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Hash {
    /// Put this name before the hash: a whole entry for `auth.basic`
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Double each dollar sign, as a compose file needs it
    #[arg(long)]
    pub(crate) compose: bool,
}

/// The flags of `serve`, as given.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServeFlags(pub(crate) Layer);

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, flag| command.arg(argument(flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FLAGS.iter().copied().filter_map(|flag| {
            let texts = matches.get_many::<String>(flag.name)?;
            Some((flag, texts.map(SettingValue::flag).collect()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(flag: &'static Flag) -> Arg {
    let mut help = flag.help.to_owned();
    if flag.status != FlagStatus::InForce {
        help += " (not in this version)";
    }
    if !flag.default.is_empty() {
        help += &format!(" [default: {}]", flag.default);
    }
    help += &format!(" [{}]", flag.variable());
    let mut long = help.clone();
    if !flag.more.is_empty() {
        long += &format!("\n\n{}", flag.more);
    }
    let action = if flag.count == Count::Many { ArgAction::Append } else { ArgAction::Set };
    let argument = Arg::new(flag.name).long(flag.name).value_name(flag.value).help(help).long_help(long).action(action);
    match flag.count {
        Count::One | Count::Many => argument,
        Count::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
    }
}
