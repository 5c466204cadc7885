//! Fields: their syntax, and those that have a meaning for proxies.

use super::corpus::{Corpus, HOST, Listener, request};

impl Corpus {
    pub(super) fn fields(&mut self) {
        self.begin("field");
        for fields in FIELDS {
            self.get(fields);
        }
        for byte in (0..0x20_u8).chain(0x7f..=0x81).chain([0xa0, 0xe9, 0xff]) {
            for place in 0..3 {
                let mut field = b"GET /x HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\nX".to_vec();
                let parts: [&[u8]; 3] = [b"-A", b": ", b"v"];
                for (at, part) in parts.iter().enumerate() {
                    field.extend(*part);
                    if at == place {
                        field.push(byte);
                    }
                }
                field.extend(b"w\r\n\r\n");
                self.add(Listener::Plain, &field);
            }
        }
        for _ in 0..160 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..8) {
                let name = match self.rng.usize(..3) {
                    0 => self
                        .pick(&[
                            "Accept",
                            "ACCEPT",
                            "accept",
                            "User-Agent",
                            "Referer",
                            "X-A",
                            "x-a",
                            "X-B",
                            "Range",
                            "If-None-Match",
                        ])
                        .to_owned(),
                    1 => self
                        .pick(&[
                            "Accept-Encoding",
                            "Authorization",
                            "Origin",
                            "Cache-Control",
                            "Pragma",
                            "Via",
                            "Date",
                            "Content-Type",
                        ])
                        .to_owned(),
                    _ => format!("X-{}", self.text("abcXYZ019-!#$%&'*+.^`|~", 8)),
                };
                let space = self.pick(&["", " ", "  ", "\t", " \t "]);
                let behind = self.pick(&["", "", "", " ", "\t"]);
                let value = self.text("abc XYZ,;=\"'<>()/?\\%{}äé", 20);
                fields += &format!("{name}:{space}{value}{behind}\r\n");
            }
            let listener = self.listener();
            self.add(listener, &request("GET /f HTTP/1.1", HOST, &fields, b""));
        }
    }

    pub(super) fn connection_options(&mut self) {
        self.begin("connection");
        for options in CONNECTION {
            self.get(&format!("Connection: {options}\r\nX-Inner: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\n"));
        }
        for field in [
            "Keep-Alive: timeout=5, max=100\r\n",
            "Proxy-Connection: keep-alive\r\n",
            "Proxy-Connection: close\r\n",
            "Proxy-Authorization: Basic eDp5\r\n",
            "Proxy-Authenticate: Basic\r\n",
            "Connection: close\r\nConnection: X-Inner\r\nX-Inner: 1\r\n",
        ] {
            self.get(field);
        }
        for _ in 0..60 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..4) {
                let mut options = Vec::new();
                for _ in 0..self.rng.usize(1..4) {
                    options.push(self.pick(&[
                        "close",
                        "keep-alive",
                        "Keep-Alive",
                        "X-Inner",
                        "x-other",
                        "upgrade",
                        "te",
                        "cookie",
                        "",
                        "accept",
                        "x-real-ip",
                        "http2-settings",
                        "Trailer",
                    ]));
                }
                fields +=
                    &format!("Connection: {}\r\n", options.join(self.rng.choice([",", ", ", " , "]).unwrap_or(",")));
            }
            let rest = self.pick(&[
                "",
                "X-Inner: 1\r\nX-Other: 2\r\n",
                "TE: trailers\r\nCookie: a=b\r\nAccept: x\r\n",
                "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
            ]);
            let listener = self.listener();
            self.add(listener, &request("GET /c HTTP/1.1", HOST, &format!("{fields}{rest}"), b""));
        }
    }

    pub(super) fn cookies(&mut self) {
        self.begin("cookie");
        for fields in COOKIES {
            self.get(fields);
        }
        for _ in 0..20 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..5) {
                fields += &format!("Cookie: {}={}\r\n", self.text("abcXYZ-_", 6), self.text("abc019%=\"{}:, ", 12));
            }
            let listener = self.listener();
            self.add(listener, &request("GET /k HTTP/1.1", HOST, &fields, b""));
        }
    }

    pub(super) fn forwarding(&mut self) {
        self.begin("forwarding");
        for fields in FORWARDING {
            for listener in [Listener::Plain, Listener::Tls, Listener::Trusting] {
                self.add(listener, &request("GET /w HTTP/1.1", HOST, fields, b""));
            }
        }
        for _ in 0..80 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..5) {
                let address = self.pick(&[
                    "203.0.113.5",
                    "10.0.0.7",
                    "192.168.1.9, 203.0.113.9",
                    "2001:db8::1",
                    "[2001:db8::1]:443",
                    "203.0.113.5:8080",
                    "unknown",
                    "",
                    "::ffff:10.1.2.3",
                    "a, b",
                    "127.0.0.1",
                ]);
                fields += &match self.rng.usize(..7) {
                    0 | 1 => format!("X-Forwarded-For: {address}\r\n"),
                    2 => format!(
                        "X-Forwarded-Proto: {}\r\n",
                        self.pick(&["https", "http", "HTTPS", "wss", "ftp", "https, http", ""])
                    ),
                    3 => format!(
                        "X-Forwarded-Host: {}\r\n",
                        self.pick(&["b.example", "b.example:8443", "a b", "[::1]:80", "", "b, c"])
                    ),
                    4 => format!("X-Forwarded-Port: {}\r\n", self.pick(&["443", "8443", "0", "65536", "x", ""])),
                    5 => format!("Forwarded: for={address};proto=https\r\n"),
                    _ => format!("X-Real-IP: {address}\r\n"),
                };
            }
            let listener = self.listener();
            let host = self.pick(&[HOST, "a.localhost:8080", "A.LOCALHOST"]);
            self.add(listener, &request("GET /w HTTP/1.1", host, &fields, b""));
        }
    }

    pub(super) fn expectations(&mut self) {
        self.begin("expect");
        for expect in ["100-continue", "100-Continue", " 100-continue ", "100-continue, x", "x", "", "200-ok"] {
            for (fields, body) in [
                ("Content-Length: 2\r\n", "ab"),
                ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n"),
                ("", ""),
                ("Content-Length: 0\r\n", ""),
            ] {
                self.add(
                    Listener::Plain,
                    &request("POST /e HTTP/1.1", HOST, &format!("Expect: {expect}\r\n{fields}"), body.as_bytes()),
                );
            }
        }
        self.get("Expect: 100-continue\r\nExpect: 100-continue\r\n");
    }

    pub(super) fn upgrades(&mut self) {
        self.begin("upgrade");
        for upgrade in UPGRADES {
            for method in ["GET", "POST"] {
                self.add(Listener::Plain, &request(&format!("{method} /u HTTP/1.1"), HOST, upgrade, b""));
            }
        }
    }
}

const FIELDS: &[&str] = &[
    "",
    "X: y\r\n",
    "x: y\r\nX: z\r\n",
    "X: a\r\nY: b\r\nX: c\r\nY: d\r\n",
    "X:\r\n",
    "X: \r\n",
    "X:y\r\n",
    "X:  y  \r\n",
    "X:\ty\t\r\n",
    "X : y\r\n",
    " X: y\r\n",
    "X: a\r\n b\r\n",
    "X: a\r\n\tb\r\n",
    ": y\r\n",
    "X\r\n",
    "X y\r\n",
    "X: a:b\r\n",
    "X: ,\r\n",
    "X: \"a\r\n",
    "A-Very-Long-Name-Of-A-Field-That-Nobody-Knows: 1\r\n",
    "User_Agent: x\r\n",
    "X_Forwarded_For: 1.1.1.1\r\n",
    "User-Agent: curl\r\nAccept: */*\r\n",
    "Accept: a\r\nAccept: b\r\nACCEPT: c\r\n",
    "Authorization: Basic YTpi\r\n",
    "Authorization: Bearer x.y.z\r\n",
    "Authorization: Negotiate YII\r\n",
    "Authorization: NTLM TlRM\r\n",
    "Range: bytes=0-1\r\n",
    "If-Match: \"x\"\r\n",
    "Accept-Encoding: gzip, br\r\n",
    "Origin: null\r\n",
    "Referer: http://x/?a\r\n",
    "Via: 1.1 proxy\r\n",
    "Via: 1.0 a, 1.1 b\r\n",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    "X-Request-ID: mine\r\n",
    "X-Correlation-ID: mine\r\n",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    "Server: x\r\n",
    "Set-Cookie: a=b\r\n",
    "Content-Type: text/plain\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Language: en\r\n",
    "Max-Forwards: 0\r\n",
    "Upgrade-Insecure-Requests: 1\r\n",
    "Sec-Fetch-Site: none\r\n",
    "DNT: 1\r\n",
    "HTTP2-Settings: AAMA\r\n",
    "Content-Length : 0\r\n",
    "Host : b\r\n",
    "Status: 200\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "Early-Data: 1\r\n",
    "Alt-Used: x\r\n",
    "X-Accel-Redirect: /x\r\n",
    "Proxy: http://evil\r\n",
    ":method: GET\r\n",
    "X!: y\r\n",
    "!: y\r\n",
    "X(: y\r\n",
    "X/: y\r\n",
    "X\u{e9}: y\r\n",
];

const CONNECTION: &[&str] = &[
    "keep-alive",
    "Keep-Alive",
    "close",
    "Close",
    "CLOSE",
    "",
    ",",
    "X-Inner",
    "x-inner",
    "X-Inner, X-Other",
    "X-Inner,X-Other",
    " X-Inner ,, X-Other ",
    "keep-alive, X-Inner",
    "close, X-Inner",
    "X-Absent",
    "Host",
    "host",
    "Content-Length",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "x-forwarded-host",
    "x-forwarded-proto",
    "X-Forwarded-Port",
    "X-Real-IP",
    "X-Case",
    "Cookie",
    "Authorization",
    "Upgrade",
    "TE",
    "a b",
    "\"x\"",
    "x;y",
    "X-Inner\r\nConnection: X-Other",
    "a,b,c,d,e,f,g,h,i",
    "a,b,c,d,e,f,g,h,i,j",
    "close\r\nConnection: close",
    "keep-alive\r\nConnection: close",
];

const COOKIES: &[&str] = &[
    "Cookie: a=b\r\n",
    "Cookie: a=b; c=d\r\n",
    "Cookie: a=b\r\nCookie: c=d\r\n",
    "cookie: a=b\r\nCOOKIE: c=d\r\n",
    "Cookie:\r\n",
    "Cookie: ;\r\n",
    "Cookie: a\r\n",
    "Cookie: =b\r\n",
    "Cookie: a=b;c=d\r\n",
    "Cookie: a=b,c=d\r\n",
    "Cookie: a=\"b;c\"\r\n",
    "Cookie: gangway-sticky=x\r\n",
    "Cookie: a=b; gangway-sticky=0.aaaa; c=d\r\n",
    "Cookie: $Version=1; a=b\r\n",
    "Cookie: a=b; a=c\r\n",
    "Cookie: a=\u{e9}\r\n",
    "Cookie2: $Version=1\r\n",
];

const FORWARDING: &[&str] = &[
    "X-Forwarded-For: 203.0.113.5\r\n",
    "X-Forwarded-For: 203.0.113.5, 10.0.0.1\r\n",
    "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 198.51.100.7\r\n",
    "X-Forwarded-For: unknown\r\n",
    "X-Forwarded-For: unknown, 203.0.113.5\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Proto: http\r\n",
    "X-Forwarded-Host: b.example\r\n",
    "X-Forwarded-Host: b.example:8443\r\n",
    "X-Forwarded-Port: 8443\r\n",
    "X-Forwarded-Prefix: /p\r\n",
    "X-Forwarded-Server: x\r\n",
    "X-Forwarded-Scheme: https\r\n",
    "X-Forwarded-Ssl: on\r\n",
    "X-Forwarded-Uri: /x\r\n",
    "X-Forwarded: 1\r\n",
    "X-Forwarded-Tls-Client-Cert: x\r\n",
    "X-Real-IP: 203.0.113.5\r\n",
    "Forwarded: for=203.0.113.5;proto=https;host=b\r\n",
    "Remote-User: admin\r\n",
    "Remote-Groups: wheel\r\n",
    "Remote-Email: a@b\r\n",
    "X-Script-Name: /x\r\n",
    "X-Original-URL: /admin\r\n",
    "X-Rewrite-URL: /admin\r\n",
    "True-Client-IP: 1.2.3.4\r\n",
    "CF-Connecting-IP: 1.2.3.4\r\n",
    "X-Client-IP: 1.2.3.4\r\n",
    "X-Cluster-Client-IP: 1.2.3.4\r\n",
    "Fastly-Client-IP: 1.2.3.4\r\n",
    "X-SSL-Client-Cert: x\r\n",
    "X-SSL-Client-Verify: SUCCESS\r\n",
    "Ssl-Client-Verify: SUCCESS\r\n",
    "Ssl-Client-Cert: x\r\n",
    "X-Forwarded-User: admin\r\n",
    "X-Auth-Request-User: admin\r\n",
    "X-WEBAUTH-USER: admin\r\n",
    "X-Remote-User: admin\r\n",
    "Front-End-Https: on\r\n",
    "X-Url-Scheme: https\r\n",
    "X-Forwarded-Protocol: https\r\n",
    "X-ProxyUser-Ip: 1.2.3.4\r\n",
    "Via: 1.1 x\r\n",
    "X-FORWARDED-FOR: 203.0.113.5\r\nx-forwarded-proto: https\r\nX-Forwarded-host: c.example\r\nx-forwarded-PORT: 444\r\n",
];

const UPGRADES: &[&str] = &[
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    "Upgrade: websocket\r\n",
    "Connection: upgrade\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
    "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
    "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    "Connection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n",
    "Connection: upgrade\r\nUpgrade: DERP\r\n",
    "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    "Connection: upgrade\r\nUpgrade:\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
    "Connection: close, upgrade\r\nUpgrade: websocket\r\n",
    "Connection: upgrade\r\nConnection: x\r\nUpgrade: websocket\r\n",
    "Connection: x, upgrade, y\r\nUpgrade: websocket\r\n",
    "Connection: upgraded\r\nUpgrade: websocket\r\n",
];
