//! The settings in force as the page shows them: what was written, and where.

use gangway_admin::api::SettingView;

use crate::settings::RawSettings;
use crate::settings::SettingOrigin;
use crate::settings::schema::{FLAGS, Flag};

/// Every setting with a value, in the order of the reference. Nothing is redacted yet.
pub(super) fn settings_view(raw: &RawSettings) -> Vec<SettingView> {
    FLAGS.iter().filter_map(|flag| setting(raw, flag)).collect()
}

fn setting(raw: &RawSettings, flag: &Flag) -> Option<SettingView> {
    let values = raw.values(flag);
    let from = match &values.first()?.origin {
        SettingOrigin::Flag => "flag".to_owned(),
        SettingOrigin::Variable => flag.variable(),
        SettingOrigin::ForeignVariable(name) => (*name).to_owned(),
        SettingOrigin::File(spot) => spot.position.to_string(),
        SettingOrigin::Key(place) => place.to_string(),
        SettingOrigin::Traefik(option) => format!("Traefik's `{option}`"),
        SettingOrigin::Default => "default".to_owned(),
    };
    Some(SettingView { name: flag.name.to_owned(), values: values.into_iter().map(|value| value.text).collect(), from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SettingValue;
    use crate::settings::schema::{DOMAIN, LISTEN};

    #[test]
    fn each_setting_says_where_it_was_written() {
        let mut raw = RawSettings::default();
        raw.layer.set(&DOMAIN, vec![SettingValue::variable("home.test")]);
        raw.layer.set(&LISTEN, vec![SettingValue::flag("a=:81,plain"), SettingValue::flag("b=:82,plain")]);
        let views = settings_view(&raw);
        let told =
            |name: &str| views.iter().find(|view| view.name == name).map(|view| (&*view.from, view.values.len()));
        assert_eq!(told("domain"), Some(("GANGWAY_DOMAIN", 1)));
        assert_eq!(told("listen"), Some(("flag", 2)));
        assert_eq!(told("http"), Some(("default", 1)));
        assert_eq!(told("network"), None, "nothing is said, and there is no default");
    }
}
