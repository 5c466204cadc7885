//! The flags of `serve`, made from the schema of the settings.

use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::settings::schema::{Count, FLAGS, Flag};
use crate::settings::{Layer, SettingValue};

/// The flags of `serve` that are given.
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

/// The clap argument for a setting.
fn argument(flag: &'static Flag) -> Arg {
    let mut help = flag.help.to_owned();
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
