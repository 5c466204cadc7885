//! A rule as a tree. Its places in the text are kept for findings and do not affect equality.

use gangway_diagnostic::Span;
use http::{HeaderName, Method};
use ipnet::IpNet;

use crate::host::HostPattern;
use crate::regex_pattern::RegexPattern;

/// A rule as written.
///
/// Only [`all`](Self::all), [`any`](Self::any), [`not`](Self::not) and [`is`](Self::is) make one. They keep it flat (no
/// `&&` directly inside `&&`, no double negation); printing and parsing rely on this.
#[derive(Clone, Debug)]
pub struct Expression {
    term: Term,
    span: Span,
}

/// The shape of an expression.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Term {
    /// `a && b`, at least two.
    All(Vec<Expression>),
    /// `a || b`, at least two.
    Any(Vec<Expression>),
    /// `!a`.
    Not(Box<Expression>),
    /// One matcher.
    Is(Condition),
}

/// One matcher with its arguments. Several arguments mean *any of these*.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Condition {
    /// `Host`.
    Host(Vec<HostPattern>),
    /// `HostRegexp`: anywhere in the host, in lower case.
    HostRegexp(Vec<RegexPattern>),
    /// `Path`: the whole path.
    Path(Vec<Box<str>>),
    /// `PathPrefix`: on a segment border.
    PathPrefix(Vec<Box<str>>),
    /// `PathRegexp`: anywhere in the path.
    PathRegexp(Vec<RegexPattern>),
    /// `Method`.
    Method(Vec<Method>),
    /// `Header`: one field of this name has exactly this value.
    Header(HeaderName, Box<str>),
    /// `HeaderRegexp`.
    HeaderRegexp(HeaderName, RegexPattern),
    /// `Query`: the parameter has this value; without a value, it is there.
    Query(Box<str>, Option<Box<str>>),
    /// `QueryRegexp`.
    QueryRegexp(Box<str>, RegexPattern),
    /// `ClientIP`.
    ClientIp(Vec<IpNet>),
}

impl Expression {
    /// `a && b && …`; one part stands for itself.
    ///
    /// # Panics
    ///
    /// Never. Without any part the rule matches everything: ``Host(`*`)``.
    pub fn all(parts: Vec<Self>) -> Self {
        Self::join(parts, |term| if let Term::All(inner) = term { Ok(inner) } else { Err(term) }, Term::All)
    }

    /// `a || b || …`; one part stands for itself.
    pub fn any(parts: Vec<Self>) -> Self {
        Self::join(parts, |term| if let Term::Any(inner) = term { Ok(inner) } else { Err(term) }, Term::Any)
    }

    /// `!a`; a double negation cancels out.
    #[expect(clippy::should_implement_trait, reason = "beside `all` and `any`, an operator would be odd")]
    pub fn not(inner: Self) -> Self {
        let span = inner.span;
        match inner.term {
            Term::Not(twice) => *twice,
            term => Self { term: Term::Not(Box::new(Self { term, span })), span },
        }
    }

    /// One matcher.
    pub fn is(condition: Condition) -> Self {
        Self { term: Term::Is(condition), span: Span::default() }
    }

    /// The same expression with its place in the text.
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// The shape of the expression.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// The place in the text; empty for an expression that was not read from one.
    pub fn span(&self) -> Span {
        self.span
    }

    fn join(
        parts: Vec<Self>,
        open: impl Fn(Term) -> Result<Vec<Self>, Term>,
        make: impl Fn(Vec<Self>) -> Term,
    ) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for Self { term, span } in parts {
            match open(term) {
                Ok(inner) => flat.extend(inner),
                Err(term) => flat.push(Self { term, span }),
            }
        }
        let (Some(first), Some(last)) = (flat.first(), flat.last()) else {
            return Self::is(Condition::Host(vec![HostPattern::Any]));
        };
        let span = Span { start: first.span.start, end: last.span.end };
        if flat.len() == 1 { flat.remove(0) } else { Self { term: make(flat), span } }
    }
}

/// The place in the text does not affect equality.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.term == other.term
    }
}

impl Eq for Expression {}

impl std::hash::Hash for Expression {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.term.hash(state);
    }
}
