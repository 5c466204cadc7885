//! The query of `explain`: its parameters, converted into a request as matchers see it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gangway_model::path::normalise;
use gangway_model::{
    Arrival, HOST_LEN_MAX, HTTP, HTTPS, Hostname, ListenerName, ListenerScope, PublicPorts, RequestView,
    canonical_host, usual_listener,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::api::ListenerView;

/// What is wrong with a query, in one clause, and what to do.
type Mistake = (String, &'static str);

/// The number of header fields that a query may have.
const HEADERS_MAX: usize = 100;

/// The request that a query asks about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExplainQuery {
    pub(crate) secure: bool,
    /// Whether the URL says so itself. Otherwise it follows the listener.
    has_scheme: bool,
    /// In the canonical form in which hosts are compared.
    pub(crate) host: String,
    /// The port that the URL names.
    pub(crate) port: Option<u16>,
    /// In the normalised form in which paths are compared.
    pub(crate) path: String,
    pub(crate) query: String,
    /// Path and query as a client sends them.
    pub(crate) target: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) from: IpAddr,
    /// The listener that the request comes to; one of those for the URL's scheme where none is said.
    pub(crate) listener: Option<ListenerName>,
}

impl ExplainQuery {
    /// Parses the query of `/api/v1/explain`. An error is one clause, and something to do.
    pub(crate) fn parse(query: &str) -> Result<Self, Mistake> {
        let (mut url, mut method, mut from, mut headers) =
            (None, Method::GET, Ipv4Addr::LOCALHOST.into(), HeaderMap::new());
        let mut listener = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "url" => url = Some(value.into_owned()),
                "method" => method = method_of(&value)?,
                "from" => from = address(&value)?,
                "listener" => listener = Some(listener_name(&value)?),
                "header" if headers.len() < HEADERS_MAX => drop(add_header(&mut headers, &value)?),
                "header" => return Err(("too many headers".into(), "100 are enough for any request")),
                _ => {
                    return Err((
                        format!("unknown parameter `{name}`"),
                        "known are `url`, `method`, `from`, `listener` and `header`",
                    ));
                }
            }
        }
        let url = url.ok_or(("no `url` was given".to_owned(), "add one, such as `url=https://shop.example.org/`"))?;
        let (secure, host, port, target) = parts(&url)?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (normalise(path).into_owned(), query.to_owned());
        let has_scheme = url.contains("://");
        Ok(Self { secure, has_scheme, host, port, path, query, target, method, headers, from, listener })
    }

    /// Says on which of these listeners the request comes: the one that was asked about, or the one at the port of the
    /// URL, or `http` or `https`, or the first one for the scheme. An error is one clause, and something to do.
    pub(crate) fn arrive(&mut self, listeners: &[ListenerView]) -> Result<(), Mistake> {
        match &self.listener {
            Some(name) => match listeners.iter().find(|one| *one.name == **name) {
                None => Err((format!("there is no listener `{name}`"), "`gangway status` lists them")),
                Some(one) if !self.has_scheme && !one.protocol.may_be_tls() => {
                    self.secure = false;
                    Ok(())
                }
                Some(one) if !one.protocol.may_be(self.secure) => {
                    let help = "write the other scheme in front of the URL, or name another listener";
                    Err((format!("no such request comes to listener `{name}`"), help))
                }
                Some(_) => Ok(()),
            },
            None => {
                let found = self.at_port(listeners).or_else(|| self.for_scheme(listeners));
                self.listener = found.and_then(|one| ListenerName::parse(&one.name));
                Ok(())
            }
        }
    }

    /// The listener at the port of the URL, as clients know it or else as we do.
    fn at_port<'l>(&self, listeners: &'l [ListenerView]) -> Option<&'l ListenerView> {
        let usual = PublicPorts::default();
        let port = self.port.unwrap_or(if self.secure { usual.https } else { usual.http });
        let has_port = |address: &String| address.parse().is_ok_and(|address: SocketAddr| address.port() == port);
        let fitting = || listeners.iter().filter(|one| one.protocol.may_be(self.secure));
        let by_clients = fitting().find(|one| one.port == Some(port));
        by_clients.or_else(|| fitting().find(|one| one.addresses.iter().any(has_port)))
    }

    /// The usual listener for the scheme of the URL, or else one that is for this scheme alone.
    fn for_scheme<'l>(&self, listeners: &'l [ListenerView]) -> Option<&'l ListenerView> {
        let usual = usual_listener(listeners, &ListenerScope::default(), self.secure);
        let is_usual = usual.is_some_and(|one| one.name == if self.secure { HTTPS } else { HTTP });
        let is_alone = |one: &&ListenerView| one.protocol.may_be(self.secure) && !one.protocol.may_be(!self.secure);
        if is_usual { usual } else { listeners.iter().find(is_alone).or(usual) }
    }

    /// The listener that it comes to.
    pub(crate) fn listener(&self) -> &str {
        self.listener.as_deref().unwrap_or(if self.secure { HTTPS } else { HTTP })
    }

    /// The request as routes match it.
    pub(crate) fn view(&self) -> RequestView<'_> {
        let Self { host, path, query, method, headers, from, .. } = self;
        let arrival = Arrival { listener: self.listener(), is_tls: self.secure };
        RequestView { host, path, query, method, headers, client: *from, arrival }
    }
}

/// Whether a URL is https, its host, the port that it names, and its path with the query as a client sends them.
type UrlParts = (bool, String, Option<u16>, String);

fn parts(url: &str) -> Result<UrlParts, Mistake> {
    let wrong = |what: &str| (format!("`{url}` {what}"), "write a URL such as `https://shop.example.org/cart`");
    let (secure, rest) = match url.split_once("://") {
        Some(("https" | "wss", rest)) => (true, rest),
        Some(("http" | "ws", rest)) => (false, rest),
        Some(_) => return Err(wrong("is neither http nor https")),
        // Like a browser, without a scheme.
        None => (true, url),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = host_of(authority).ok_or_else(|| wrong("has no usable host"))?;
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    // The colons of an IPv6 address stand in brackets.
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Ok((secure, host, port, encoded(&target)))
}

fn host_of(authority: &str) -> Option<String> {
    let mut buffer = [0; HOST_LEN_MAX];
    if let Some(host) = canonical_host(authority, &mut buffer) {
        return Some(host.to_owned());
    }
    // An international name, which a browser converts before sending.
    let name = authority.split_once(':').map_or(authority, |(name, _)| name);
    Hostname::parse(name, &mut Vec::new()).map(|name| name.as_str().to_owned())
}

/// The target as a browser sends it: without spaces, controls, and characters outside ASCII.
fn encoded(target: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ');
    utf8_percent_encode(target, ENCODED).to_string()
}

fn method_of(text: &str) -> Result<Method, Mistake> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| (format!("`{text}` is no method"), "write one such as `POST`"))
}

fn address(text: &str) -> Result<IpAddr, Mistake> {
    text.parse().map_err(|_| (format!("`{text}` is no address"), "write one such as `192.0.2.7`"))
}

fn listener_name(text: &str) -> Result<ListenerName, Mistake> {
    let wrong = || (format!("`{text}` is no name of a listener"), "write one such as `https`");
    ListenerName::parse(text).ok_or_else(wrong)
}

fn add_header(headers: &mut HeaderMap, text: &str) -> Result<(), Mistake> {
    let wrong = || (format!("`{text}` is no header field"), "write one such as `X-Beta: yes`");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    headers.append(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use gangway_model::ListenerProtocol;

    use super::*;

    fn parsed(query: &str) -> ExplainQuery {
        ExplainQuery::parse(query).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn a_url_is_read_as_a_browser_reads_it() {
        let asked = parsed("url=https%3A%2F%2FShop.Example.org.%3A8443%2Fa%2F..%2Fb%3Fx%3D1%23top");
        assert!(asked.secure);
        assert_eq!((&*asked.host, &*asked.path, &*asked.query), ("shop.example.org", "/b", "x=1"));
        let asked = parsed("url=shop.test");
        assert_eq!((asked.secure, &*asked.path, &*asked.query), (true, "/", ""));
        assert_eq!(parsed("url=http://a.test?x").query, "x");
        assert_eq!(parsed("url=https://b%C3%BCcher.test/%C3%BC+x").host, "xn--bcher-kva.test");
        assert_eq!(parsed("url=https://[2001:DB8::1]:1/").host, "[2001:db8::1]");
    }

    #[test]
    fn method_address_and_headers_can_be_given() {
        let asked = parsed("url=a.test&method=post&from=2001:db8::1&header=X-Beta:+yes&header=x-beta:no");
        assert_eq!((asked.method, asked.from), (Method::POST, "2001:db8::1".parse().expect("an address")));
        let values: Vec<_> = asked.headers.get_all("x-beta").iter().collect();
        assert_eq!(values, ["yes", "no"]);
    }

    #[test]
    fn the_listener_is_the_usual_one_unless_it_is_said() {
        let arrival = |query: &str| parsed(query).view().arrival.listener.to_owned();
        assert_eq!((arrival("url=http://a.test"), arrival("url=a.test")), ("http".into(), "https".into()));
        assert_eq!(arrival("url=a.test&listener=Internal"), "internal");
    }

    #[test]
    fn a_listener_has_to_be_there_and_to_fit_the_scheme() {
        let view =
            |name: &str, protocol| ListenerView { name: name.to_owned(), protocol, addresses: Vec::new(), port: None };
        let (plain, tls) = (ListenerProtocol::Plain, ListenerProtocol::Tls);
        let listeners = [view("web", plain), view("mixed", ListenerProtocol::Detected), view("https", tls)];
        let arrived = |query: &str| {
            let mut asked = parsed(query);
            asked.arrive(&listeners).map(|()| asked.listener().to_owned()).map_err(|(error, _)| error)
        };
        assert_eq!(arrived("url=http://a.test"), Ok("web".into()), "there is no `http`");
        assert_eq!(arrived("url=https://a.test"), Ok("https".into()));
        assert_eq!(arrived("url=https://a.test&listener=mixed"), Ok("mixed".into()));
        assert!(arrived("url=https://a.test&listener=web").is_err());
        assert_eq!(arrived("url=a.test&listener=web"), Ok("web".into()), "then it is plain HTTP");
        assert!(arrived("url=http://a.test&listener=other").is_err());
    }

    #[test]
    fn the_port_of_a_url_tells_the_listener() {
        let listener = |name: &str, protocol, address: &str, port| ListenerView {
            name: name.to_owned(),
            protocol,
            addresses: vec![address.to_owned()],
            port,
        };
        let listeners = [
            listener("internal", ListenerProtocol::Detected, "127.0.0.1:9000", None),
            listener("web", ListenerProtocol::Detected, "[::]:80", Some(28080)),
            listener("websecure", ListenerProtocol::Tls, "[::]:443", Some(28443)),
        ];
        for (url, name) in [
            ("https://a.test:28443", "websecure"),
            ("https://a.test:443", "websecure"),
            ("https://a.test", "websecure"),
            ("https://a.test:1234", "websecure"),
            ("https://a.test:9000", "internal"),
            ("http://a.test", "web"),
            ("http://a.test:28080", "web"),
            ("http://a.test:9000", "internal"),
        ] {
            let mut asked = parsed(&format!("url={url}"));
            assert_eq!(asked.arrive(&listeners), Ok(()));
            assert_eq!(asked.listener(), name, "{url}");
        }
    }

    #[test]
    fn a_malformed_query_is_refused_with_a_reason() {
        for query in [
            "",
            "url=",
            "url=ftp://a",
            "url=https://a@b/",
            "url=a&method=%01",
            "url=a&from=b",
            "url=a&header=x",
            "url=a&x=1",
            "url=https://%00/",
            "url=a&header=x:a%0ab",
            "url=a&listener=a/b",
        ] {
            let (error, help) = ExplainQuery::parse(query).expect_err(query);
            assert!(!error.is_empty() && !help.is_empty());
        }
        let many = format!("url=a{}", "&header=x:y".repeat(HEADERS_MAX + 1));
        assert!(ExplainQuery::parse(&many).is_err());
    }
}
