//! Keys with dots become a tree: labels, and files of the file provider.
//!
//! Keys are compared without regard to case. What users name keeps the case in which it was written first; of a key
//! that is written twice, the last one in the order of bytes counts. Traefik does the same.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;

use gangway_diagnostic::nearest;

use super::values;
use crate::label::Mark;
use crate::settings::DynamicKey;
use crate::snapshot::Container;

/// The beginning of all of Traefik's labels.
const PREFIX: &str = "traefik.";

/// Deeper keys are cut: nothing is so deep.
const DEPTH_MAX: usize = 16;

/// So many children are looked through one by one.
const FEW: usize = 8;

/// Most objects are asked for no more options.
const ASKED_USUALLY: usize = 8;

/// One key, or the beginning of several.
#[derive(Debug, Default)]
pub(super) struct Node<'s> {
    /// As it was written first.
    pub name: &'s str,
    /// Its value, if it has one.
    pub mark: Option<Mark<'s>>,
    /// The first label or key that stands here or below.
    pub first: Mark<'s>,
    pub children: Children<'s>,
}

/// Nodes by their names in lower case, in the order of these.
///
/// Most nodes have one child or two, of which a list takes much less than a tree.
#[derive(Debug, Default)]
pub(super) struct Children<'s>(Vec<(Cow<'s, str>, Node<'s>)>);

/// The options of one object. Remembers which were asked for, so that the others can be named.
pub(super) struct Options<'n, 's> {
    pub node: &'n Node<'s>,
    asked: RefCell<Vec<(&'static str, Form)>>,
}

/// What an option is asked for as.
///
/// The greater takes all that the smaller takes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Form {
    /// One value.
    Text,
    /// Values, in one text or one by one.
    List,
    /// Options of its own, or whatever there is.
    Any,
}

/// What is said below an object and not read.
#[derive(Debug)]
pub(super) enum Unread<'n, 's> {
    /// Nobody asked for it; the nearest name that was asked for.
    Unknown(&'n Node<'s>, Option<&'static str>),
    /// It belongs to an option that is one value or a list.
    Misplaced(&'n Node<'s>),
    /// The object has a value, and no object of this kind has one.
    Value(Mark<'s>),
}

impl<'s> Node<'s> {
    /// The tree of all labels below `traefik.`.
    pub(super) fn of_labels(container: &'s Container) -> Self {
        let mut root = Self::default();
        for (label, value) in &container.labels {
            // Traefik drops a container where the prefix is in another case; here it is read as it was meant.
            let is_ours = label.get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX));
            if let Some(key) = label.get(PREFIX.len()..).filter(|_| is_ours) {
                let mark = Mark { label, value, place: None };
                root.put(key.split('.').flat_map(indexed).take(DEPTH_MAX), mark);
            }
        }
        root
    }

    /// The tree of what the file provider has read.
    pub(super) fn of_files(keys: &'s [DynamicKey]) -> Self {
        let mut root = Self::default();
        for key in keys {
            let label = key.path.last().map_or("", |name| name);
            let mark = Mark { label, value: &key.value, place: Some(&key.place) };
            root.put(key.path.iter().map(|name| &**name).take(DEPTH_MAX), mark);
        }
        root
    }

    fn put(&mut self, path: impl Iterator<Item = &'s str>, mark: Mark<'s>) {
        let mut node = self;
        for name in path {
            node = node.children.entry(name, mark);
        }
        node.mark = Some(mark);
    }

    /// The child of this name, which is in lower case.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name)
    }

    /// The node at the end of this way.
    pub(super) fn at(&self, way: &[&str]) -> Option<&Self> {
        way.iter().try_fold(self, |node, name| node.child(name))
    }

    /// The entries of a list: separated by commas, or the items of a list in a file. An entry may be empty.
    pub(super) fn list(&self) -> Vec<(Mark<'s>, &'s str)> {
        match self.mark {
            Some(mark) if !mark.value.trim().is_empty() => {
                mark.value.split(',').map(|entry| (mark, entry.trim())).collect()
            }
            Some(_) => Vec::new(),
            None => self.items().filter_map(|item| item.mark).map(|mark| (mark, mark.value.trim())).collect(),
        }
    }

    /// The items of a list of objects, in their order.
    pub(super) fn items(&self) -> impl Iterator<Item = &Self> {
        let mut items: Vec<(usize, &Self)> =
            self.children.values().filter_map(|node| Some((node.position()?, node))).collect();
        items.sort_by_key(|(position, _)| *position);
        items.into_iter().map(|(_, node)| node)
    }

    /// The first node of this name, in any case, below this one.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        self.children
            .values()
            .find_map(|node| if node.name.eq_ignore_ascii_case(name) { Some(node) } else { node.below(name) })
    }

    /// Its options.
    pub(super) fn options(&self) -> Options<'_, 's> {
        Options { node: self, asked: RefCell::new(Vec::with_capacity(ASKED_USUALLY)) }
    }

    /// Its position, if it is an item of a list.
    fn position(&self) -> Option<usize> {
        self.name.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }
}

impl<'s> Children<'s> {
    /// The one of this name, which is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'s>> {
        // Of few, the lengths of their names tell most apart.
        let at = match self.0.len() {
            ..=FEW => self.0.iter().position(|(known, _)| **known == *name),
            _ => self.position(name).ok(),
        };
        at.map(|at| &self.0[at].1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node<'s>)> {
        self.0.iter().map(|(name, node)| (&**name, node))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Node<'s>> {
        self.0.iter().map(|(_, node)| node)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one of this name in any case. A new one has it as it is written, and `first`.
    fn entry(&mut self, name: &'s str, first: Mark<'s>) -> &mut Node<'s> {
        // Labels come in their order, so it is mostly the last one, or behind it.
        if let Some((_, last)) = self.0.last()
            && last.name == name
        {
            let at = self.0.len() - 1;
            return &mut self.0[at].1;
        }
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let lower = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) };
        let position = match self.0.last().map(|(last, _)| last.cmp(&lower)) {
            None | Some(Ordering::Less) => Err(self.0.len()),
            Some(Ordering::Equal) => Ok(self.0.len() - 1),
            Some(Ordering::Greater) => self.position(&lower),
        };
        let at = position.unwrap_or_else(|at| {
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(at, (lower, Node { name, first, ..Node::default() }));
            at
        });
        &mut self.0[at].1
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl<'n, 's> Options<'n, 's> {
    /// The option of this name, which is in lower case.
    pub(super) fn get(&self, name: &'static str) -> Option<&'n Node<'s>> {
        self.ask(name, Form::Any)
    }

    /// Its value, if it has one.
    pub(super) fn text(&self, name: &'static str) -> Option<Mark<'s>> {
        self.ask(name, Form::Text)?.mark
    }

    /// Its entries, as [`Node::list`] gives them.
    pub(super) fn list(&self, name: &'static str) -> Vec<(Mark<'s>, &'s str)> {
        self.list_node(name).map(Node::list).unwrap_or_default()
    }

    /// The option of this name, which is a list.
    pub(super) fn list_node(&self, name: &'static str) -> Option<&'n Node<'s>> {
        self.ask(name, Form::List)
    }

    fn ask(&self, name: &'static str, form: Form) -> Option<&'n Node<'s>> {
        self.asked.borrow_mut().push((name, form));
        self.node.child(name)
    }

    /// What is not read, because nobody asked for it or because it has another form.
    pub(super) fn unread(&self) -> Vec<Unread<'n, 's>> {
        let asked = self.asked.borrow();
        // Objects that need no options are written as `tls=true`.
        let is_usual = |text: &str| text.is_empty() || values::boolean(text).is_ok();
        let value = self.node.mark.filter(|mark| !is_usual(mark.value.trim())).map(Unread::Value);
        let of_child = |(name, node): (&str, &'n Node<'s>)| {
            let is_list = match asked.iter().filter(|(known, _)| *known == name).map(|(_, form)| *form).max() {
                None => {
                    let near = nearest(name, asked.iter().map(|(known, _)| *known));
                    return Some(Unread::Unknown(node, near));
                }
                Some(Form::Any) => return None,
                Some(Form::List) => true,
                Some(Form::Text) => false,
            };
            // Of a text and entries one by one, only the text is read.
            let has_text = node.mark.is_some_and(|mark| !mark.value.trim().is_empty());
            let fits = |item: &Node<'_>| is_list && !has_text && item.position().is_some() && item.children.is_empty();
            node.children.values().find(|item| !fits(item)).map(Unread::Misplaced)
        };
        value.into_iter().chain(self.node.children.iter().filter_map(of_child)).collect()
    }
}

/// `domains[0]` is `domains` and `[0]`.
fn indexed(segment: &str) -> impl Iterator<Item = &str> {
    let at = segment.find('[').filter(|at| *at > 0 && segment.ends_with(']')).unwrap_or(segment.len());
    let (name, index) = segment.split_at(at);
    [name, index].into_iter().filter(|part| !part.is_empty()).chain(segment.is_empty().then_some(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(labels: &[(&str, &str)]) -> Container {
        Container::named("app").with_labels(labels)
    }

    #[test]
    fn keys_are_read_in_any_case_and_names_keep_theirs() {
        let container = labelled(&[
            ("traefik.http.routers.Web.RULE", "upper"),
            ("traefik.http.routers.web.rule", "lower"),
            ("traefik.http.routers.web.tls.domains[1].main", "b"),
            ("traefik.http.routers.web.tls.domains[0].main", "a"),
            ("traefik.http.routers.web.middlewares", " a, b ,,"),
            ("Traefik.http.services.x", "read as it was meant"),
            ("com.example", "not below the prefix"),
        ]);
        let root = Node::of_labels(&container);
        let routers = root.at(&["http", "routers"]).expect("it is there");
        let names: Vec<_> = routers.children.values().map(|router| router.name).collect();
        assert_eq!(names, ["Web"]);
        let options = routers.child("web").expect("it is there").options();
        assert_eq!(options.text("rule").map(|mark| mark.value), Some("lower"));
        let list: Vec<_> = options.get("middlewares").expect("it is there").list();
        assert_eq!(list.iter().map(|(_, entry)| *entry).collect::<Vec<_>>(), ["a", "b", "", ""]);
        let domains = options.node.at(&["tls", "domains"]).expect("it is there");
        let mains: Vec<_> = domains.items().filter_map(|item| item.child("main")?.mark).collect();
        assert_eq!(mains.iter().map(|mark| mark.value).collect::<Vec<_>>(), ["a", "b"]);
        let unread = options.unread();
        assert!(matches!(&*unread, [Unread::Unknown(Node { name: "tls", .. }, None)]), "{unread:?}");
    }
}
