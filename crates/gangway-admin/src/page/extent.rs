//! Which views of the page there are, and how much of them a place shows.

/// The views.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Page {
    Overview,
    Site,
    Explain,
    Certificates,
    Containers,
    Log,
    About,
}

impl Page {
    /// The view at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Overview,
            "/site" => Self::Site,
            "/explain" => Self::Explain,
            "/certificates" => Self::Certificates,
            "/containers" => Self::Containers,
            "/log" => Self::Log,
            "/about" => Self::About,
            _ => return None,
        })
    }
}

/// How much a page tells where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extent {
    /// Everything, for those who run the instance.
    All,
    /// The sites, as Traefik's dashboard shows them. A label may lead to it, so it has no requests, no values of labels,
    /// nothing of containers that are not served, no log and no settings.
    Sites,
    /// Names and states, for those who use the sites. There is one view, and no way to the others.
    Household,
}

impl Extent {
    /// Whether the view is there.
    pub(crate) fn has(self, page: Page) -> bool {
        match self {
            Self::All => true,
            Self::Sites => match page {
                Page::Overview | Page::Site | Page::Certificates => true,
                Page::Explain | Page::Containers | Page::Log | Page::About => false,
            },
            Self::Household => false,
        }
    }

    /// Whether a view has single requests and what labels say.
    pub(crate) fn has_details(self) -> bool {
        match self {
            Self::All => true,
            Self::Sites | Self::Household => false,
        }
    }
}
