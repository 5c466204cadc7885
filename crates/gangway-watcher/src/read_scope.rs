//! Which containers of an engine one reading covers.

/// With more containers than this, all are read. Listing a hundred containers takes an engine ten times as long as
/// listing one.
const IDS_MAX: usize = 8;

/// Which containers are read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ReadScope {
    /// All containers.
    All,
    /// The containers with these ids. All others stay as they were read last.
    Only(Vec<Box<str>>),
}

impl ReadScope {
    /// A scope without containers, to be added to.
    pub(crate) fn none() -> Self {
        Self::Only(Vec::new())
    }

    /// Whether the scope covers this container.
    pub(crate) fn covers(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|read| **read == *id),
        }
    }

    /// Adds the container that an event is about. An event that does not say which container makes it all.
    pub(crate) fn add(&mut self, id: Option<Box<str>>) {
        let Self::Only(ids) = self else { return };
        match id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            Some(id) if ids.contains(&id) => {}
            Some(id) if ids.len() < IDS_MAX => ids.push(id),
            Some(_) | None => *self = Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_read_alone_and_more_or_unknown_ones_with_all() {
        let extent = |ids: &[Option<&str>]| {
            let mut extent = ReadScope::none();
            ids.iter().for_each(|id| extent.add(id.map(Into::into)));
            extent
        };
        assert_eq!(extent(&[Some("ab"), Some("ab"), Some("cd")]), ReadScope::Only(vec!["ab".into(), "cd".into()]));
        assert_eq!(extent(&[Some("ab"), None]), ReadScope::All);
        assert_eq!(extent(&[Some("\"]}&all=0")]), ReadScope::All, "what is no id is not asked for");
        let many: Vec<String> = (0..=IDS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(|id| Some(&**id)).collect();
        assert!(matches!(extent(&many[1..]), ReadScope::Only(_)));
        assert_eq!(extent(&many), ReadScope::All);
    }
}
