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
    pub(crate) const ALL: [Self; 7] =
        [Self::Overview, Self::Site, Self::Explain, Self::Certificates, Self::Containers, Self::Log, Self::About];

    /// The view at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        Self::ALL.into_iter().find(|page| page.path() == path)
    }

    /// Its path, without the first slash.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Site => "site",
            Self::Explain => "explain",
            Self::Certificates => "certificates",
            Self::Containers => "containers",
            Self::Log => "log",
            Self::About => "about",
        }
    }

    /// Its name in the list of views. Those without one are of a thing, and where that is listed leads to them.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Overview => Some("Overview"),
            Self::Site => None,
            Self::Explain => Some("Explain"),
            Self::Certificates => Some("Certificates"),
            Self::Containers => Some("Containers"),
            Self::Log => Some("Log"),
            Self::About => Some("About"),
        }
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
