//! What middlewares are read with, and what is found about them.

use gangway_diagnostic::Finding;

use super::super::findings::{Problems, without_effect};
use super::super::tree::Options;
use crate::label::Mark;

/// What is read of one middleware.
pub(super) struct Reading<'p, 's> {
    pub problems: &'p mut Problems<'s>,
    /// Options that do nothing here.
    pub without_effect: Vec<(Mark<'s>, Finding)>,
}

/// What Gangway is started with that middlewares may stand for, and what the configuration says of plug-ins.
#[derive(Clone, Copy)]
pub(crate) struct Features<'a> {
    /// Names and modules.
    pub plugins: &'a [(Box<str>, Box<str>)],
    /// Whether countries are known.
    pub geoip: bool,
    /// Whether there is a CrowdSec engine.
    pub crowdsec: bool,
    /// Whether there is a web application firewall.
    pub appsec: bool,
}

impl<'s> Reading<'_, 's> {
    /// Notes options that do nothing here, where they are there.
    pub(super) fn idle(&mut self, options: &Options<'_, 's>, names: &[&'static str], instead: &str) {
        for name in names {
            if let Some(node) = options.get(name) {
                let what = format!("`{}` is not in force", node.name);
                self.without_effect.push((node.first, without_effect(&what, instead)));
            }
        }
    }
}
