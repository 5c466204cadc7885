//! The modules of a crate, and which of them names which, read from the sources.
//!
//! This is no compiler: it sees paths that begin with `crate`, `self`, `super` or the name of a child module, in `use`
//! declarations and in code. That is how this project writes all of them. Modules of tests are left out, for a test may
//! use everything.

use std::collections::{BTreeMap, BTreeSet};

/// For each module, such as `host::pattern`, the modules of the same crate that it names.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Reads the arrows between modules of one crate from its files: the path below `src` and the text.
///
/// `lib.rs` and `main.rs` are left out: they only assemble.
#[must_use]
pub fn arrows(files: &BTreeMap<String, String>) -> Arrows {
    let sources: BTreeMap<String, String> =
        files.iter().filter_map(|(path, text)| Some((module(path)?, without_tests_and_comments(text)))).collect();
    let modules: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
    sources.iter().map(|(module, text)| (module.clone(), named_by(module, text, &modules))).collect()
}

/// The groups of modules that name each other, directly or through others; each sorted.
#[must_use]
pub fn circles(arrows: &Arrows) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|module| (module.as_str(), reachable(module, arrows))).collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for (module, others) in &reached {
        if found.iter().any(|circle| circle.contains(module)) {
            continue;
        }
        let circle: Vec<&str> = others.iter().copied().filter(|other| reached[other].contains(module)).collect();
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found
}

/// The module that a file holds, or none for a root or a file of tests.
fn module(path: &str) -> Option<String> {
    let name = path.strip_suffix(".rs")?;
    let name = name.strip_suffix("/mod").unwrap_or(name);
    let is_root = name == "lib" || name == "main" || name.starts_with("bin/");
    let is_test = name.split('/').any(|part| part == "tests");
    (!is_root && !is_test).then(|| name.replace('/', "::"))
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn reachable<'a>(from: &'a str, arrows: &'a Arrows) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        open.extend(arrows[module].iter().map(String::as_str).filter(|next| seen.insert(*next)));
    }
    seen
}

fn named_by(module: &str, text: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    paths(text).iter().filter_map(|path| resolve(module, path, modules)).filter(|named| named != module).collect()
}

/// The longest module that a path leads through.
fn resolve(from: &str, path: &str, modules: &BTreeSet<&str>) -> Option<String> {
    let mut rest: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = from.split("::").collect();
    match *rest.first()? {
        "crate" => {
            base.clear();
            rest.remove(0);
        }
        "self" => {
            rest.remove(0);
        }
        "super" => {
            while rest.first() == Some(&"super") {
                base.pop();
                rest.remove(0);
            }
        }
        child => {
            if !modules.contains(format!("{from}::{child}").as_str()) {
                return None;
            }
        }
    }
    let whole: Vec<&str> = base.into_iter().chain(rest).collect();
    (1..=whole.len()).rev().map(|len| whole[..len].join("::")).find(|name| modules.contains(name.as_str()))
}

/// All paths in a text, those of nested `use` declarations spelt out.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut is_use = false;
    for token in tokens(text) {
        match token {
            "use" => {
                is_use = true;
                path.clear();
            }
            ";" if is_use => {
                found.push(std::mem::take(&mut path));
                is_use = false;
            }
            "{" if is_use => prefixes.push(std::mem::take(&mut path)),
            "," if is_use => found.push(format!("{}{}", prefixes.concat(), std::mem::take(&mut path))),
            "}" if is_use => {
                found.push(format!("{}{}", prefixes.concat(), std::mem::take(&mut path)));
                prefixes.pop();
            }
            word if is_use && (path.is_empty() || path.ends_with("::") || word == "::") => path.push_str(word),
            // Of `use a as b` the first is the path.
            _ if is_use => {}
            "::" if !path.is_empty() => path.push_str("::"),
            word if path.ends_with("::") && is_word(word) => path.push_str(word),
            word => {
                if path.contains("::") {
                    found.push(std::mem::take(&mut path));
                }
                path = if is_word(word) { word.to_owned() } else { String::new() };
            }
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::`, and every other character by itself; no white space.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let len = match () {
            () if word > 0 => word,
            () if rest.starts_with("::") => 2,
            () => first.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        found.push(token);
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn arrows_are_read_from_declarations_and_from_code() {
        let files = crate_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("d.rs", "pub use crate::a::A;"),
            ("a.rs", "use crate::{b::{B, Other as _}, c};\nmod child;"),
            ("a/child.rs", "use super::A;\nfn f() -> crate::c::C { super::super::b::f() }"),
            ("b.rs", "// crate::a is not used\nstruct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }"),
            ("c/mod.rs", "struct C;"),
        ]);
        let arrows = arrows(&files);
        let named = |module: &str| arrows[module].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(named("a"), ["b", "c"]);
        assert_eq!(named("a::child"), ["a", "b", "c"]);
        assert_eq!(named("b"), [""; 0]);
        assert_eq!(named("d"), ["a"]);
        assert_eq!(circles(&arrows), [[""; 0]; 0]);
    }

    #[test]
    fn a_circle_is_found_through_a_child_and_through_others() {
        let files = crate_of(&[
            ("a.rs", "mod child; fn f() { child::f() }"),
            ("a/child.rs", "use super::A;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::d;"),
            ("d.rs", "fn f() { crate::b::f() }"),
        ]);
        assert_eq!(circles(&arrows(&files)), [vec!["a", "a::child"], vec!["b", "c", "d"]]);
    }
}
