//! Variables of the environment → entries.

use gangway_diagnostic::Place;

use crate::entry::{Entry, EntryValue};

/// The prefix of the variables that Traefik reads.
pub(crate) const PREFIX: &str = "TRAEFIK_";

/// The variable that names a file. It is no option of the configuration.
pub(crate) const CONFIG_FILE: &str = "TRAEFIK_CONFIGFILE";

/// Reads `TRAEFIK_A_B_C` as the option `a.b.c`, in the order of their names; a number is the position in a list.
pub(crate) fn read_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Entry> {
    let ours = variables.into_iter().filter(|(name, _)| *name != CONFIG_FILE);
    let mut entries: Vec<Entry> = ours
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX).filter(|rest| !rest.is_empty())?;
            let place = Place::Variable(name.into());
            Some(Entry {
                path: rest.split('_').map(segment).collect(),
                value: EntryValue::Text(value.into()),
                written: name.into(),
                key_place: place.clone(),
                value_place: place,
            })
        })
        .collect();
    // The variable `…_10_…` comes behind `…_2_…`.
    entries.sort_by_cached_key(|entry| entry.path.iter().map(|segment| order(segment)).collect::<Vec<_>>());
    entries
}

/// Positions come before names, by their numbers.
fn order(segment: &str) -> Result<usize, Box<str>> {
    let position = segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    position.ok_or_else(|| segment.into())
}

fn segment(word: &str) -> Box<str> {
    let is_position = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if is_position { format!("[{word}]").into() } else { word.to_ascii_lowercase().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_lists_are_in_the_order_of_their_numbers() {
        let variables = ["10", "2", "0"].map(|number| (format!("TRAEFIK_A_{number}"), number));
        let entries = read_variables(variables.iter().map(|(name, value)| (name.as_str(), *value)));
        assert_eq!(entries.iter().map(Entry::text).collect::<Vec<_>>(), ["0", "2", "10"]);
    }

    #[test]
    fn variables_are_options() {
        let variables = [
            ("TRAEFIK_ENTRYPOINTS_WEBSECURE_HTTP_TLS_DOMAINS_0_MAIN", "a.test"),
            ("TRAEFIK_API", "true"),
            ("TRAEFIK_CONFIGFILE", "/x.yml"),
            ("TRAEFIK_", "x"),
            ("PATH", "/bin"),
        ];
        let entries = read_variables(variables);
        let shown: Vec<String> =
            entries.iter().map(|entry| format!("{}={}", entry.path.join("/"), entry.text())).collect();
        assert_eq!(shown, ["api=true", "entrypoints/websecure/http/tls/domains/[0]/main=a.test"]);
    }
}
