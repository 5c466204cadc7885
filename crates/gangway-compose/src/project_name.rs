//! The name of a project, as compose derives it.

use std::path::Path;

use crate::file_access::FileAccess;

/// A text as the name of a project: lower case, without the characters that compose drops.
pub(crate) fn normalized(text: &str) -> String {
    let kept = |char: &char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '_');
    text.to_lowercase().chars().filter(kept).collect::<String>().trim_start_matches(['-', '_']).to_owned()
}

/// The name that a project has where only its folder gives it one.
pub(crate) fn of_folder(files: &dyn FileAccess, folder: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = files.canonical(folder).unwrap_or_else(|| folder.to_owned());
    let name = folder.file_name().map(|name| normalized(&name.to_string_lossy())).unwrap_or_default();
    if name.is_empty() { "default".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_only_what_compose_keeps() {
        for (text, expected) in [("My Shop", "myshop"), ("_a-b_", "a-b_"), ("Ünï1", "n1"), ("--", "")] {
            assert_eq!(normalized(text), expected, "{text}");
        }
    }
}
