//! Redirections by the whole URL, and changes of a path by its text, over every way from a client to an application.

mod common;

use std::sync::Arc;

use common::ways::{Way, Ways};
use gangway_model::{
    Authentication, BasicAuth, BasicUser, LoginMethod, Middleware, PathChange, RegexPattern, Replacement, UrlChange,
    UrlRedirect,
};

fn pattern(text: &str) -> RegexPattern {
    RegexPattern::parse(text, &mut Vec::new()).expect(text)
}

fn redirect(is_permanent: bool, expression: &str, replacement: &str) -> Middleware {
    let pattern = pattern(expression);
    let replacement = Replacement::parse_go(replacement, pattern.regex());
    Middleware::UrlRedirect(Arc::new(UrlRedirect { change: UrlChange::Matches { pattern, replacement }, is_permanent }))
}

fn change(change: PathChange) -> Middleware {
    Middleware::PathChange(Arc::new(change))
}

fn told(echo: &serde_json::Value, name: &str) -> Vec<String> {
    let fields = echo["headers"].as_array().expect("fields").iter();
    let values = fields.filter(|field| field[0].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name)));
    values.map(|field| field[1].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn what_a_url_redirection_does_not_change_goes_on_to_the_app() {
    let ways = Ways::to("moved", |moved| {
        moved.middlewares = vec![
            redirect(false, "^(https?://[^/]+)/old/(.*)$", "${1}/new/$2"),
            redirect(true, "^https?://[^/]+/away/(.*)$", "https://other.example/$1"),
        ];
    })
    .await;
    for Way { name, client, is_secure, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let scheme = if is_secure { "https" } else { "http" };
        for (method, path, status, location) in [
            ("GET", "/old/x?q=1", 302, format!("{scheme}://{host}/new/x?q=1")),
            ("HEAD", "/old/x", 307, format!("{scheme}://{host}/new/x")),
            ("GET", "/away/p", 301, "https://other.example/p".to_owned()),
            ("POST", "/away/p", 308, "https://other.example/p".to_owned()),
        ] {
            let answer = connection.ask(method, path, &[], "").await.expect("answered");
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, &*location), "{name} {path}");
        }
        let answer = connection.get("/echo").await.expect("answered");
        assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &"/echo".into()), "{name}");
    }
}

#[tokio::test]
async fn a_scheme_redirection_sends_only_those_on_who_have_another() {
    let ways = Ways::to("secure", |secure| {
        let change = UrlChange::Scheme { scheme: "https".into(), port: None };
        secure.middlewares = vec![Middleware::UrlRedirect(Arc::new(UrlRedirect { change, is_permanent: true }))];
    })
    .await;
    for Way { name, client, is_secure, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.get("/echo?y=1").await.expect("answered");
        match is_secure {
            true => assert_eq!(answer.status, 200, "{name}"),
            false => assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (301, &*format!("https://{host}/echo?y=1")),
                "{name}"
            ),
        }
    }
}

#[tokio::test]
async fn a_redirection_before_a_log_in_asks_for_no_password_and_one_behind_it_does() {
    let user = BasicUser::parse("ann:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC").expect("a user");
    let ways = Ways::to("doors", |doors| {
        let basic = BasicAuth {
            users: vec![user.clone()],
            lists: Vec::new(),
            realm: "doors".into(),
            keep: false,
            user_field: None,
        };
        let login = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
        doors.middlewares = vec![
            redirect(false, "^(https?://[^/]+)/before$", "$1/x"),
            Middleware::Authentication(Arc::new(login)),
            redirect(false, "^(https?://[^/]+)/behind$", "$1/x"),
        ];
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        for (path, status) in [("/before", 302), ("/behind", 401), ("/echo", 401)] {
            assert_eq!(connection.get(path).await.expect("answered").status, status, "{name} {path}");
        }
    }
    assert_eq!(ways.app.served(), 0);
}

#[tokio::test]
async fn a_prefix_is_removed_by_its_text_and_told() {
    let ways = Ways::to("api", |api| {
        api.middlewares = vec![
            change(PathChange::StripFirst(vec!["/api".into(), "/v1/".into()])),
            change(PathChange::StripMatch(vec![pattern("^/u-[a-z]+")])),
            redirect(false, "^https?://[^/]+/gone$", "/echo"),
        ];
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        for (path, target, prefix) in [
            ("/api/echo?q=1", "/echo?q=1", &["/api"][..]),
            ("/apiecho", "/echo", &["/api"]),
            ("/api//echo", "/echo", &["/api"]),
            ("/v1/echo", "/echo", &["/v1/"]),
            ("/api/u-ann/echo%2F", "/echo%2F", &["/api/u-ann"]),
            ("/echo", "/echo", &[]),
        ] {
            let echo = connection.get(path).await.expect("answered").json();
            assert_eq!(echo["target"], target, "{name} {path}");
            assert_eq!(told(&echo, "x-forwarded-prefix"), prefix, "{name} {path}");
        }
        // A redirection after it sees what is left of the path.
        let gone = connection.get("/api/gone").await.expect("answered");
        assert_eq!((gone.status.as_u16(), gone.header("location")), (302, "/echo"), "{name}");
        let refused = connection.get("/api../echo").await.expect("answered");
        assert_eq!(refused.status, 400, "{name}");
    }
}

#[tokio::test]
async fn a_path_is_replaced_and_the_old_one_told() {
    let ways = Ways::to("users", |users| {
        let pattern = pattern("^/u/(.*)$");
        let replacement = Replacement::parse_go("/echo/$1", pattern.regex());
        users.middlewares = vec![change(PathChange::ReplaceMatches { pattern, replacement })];
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        for (path, target, replaced) in
            [("/u/a%20b?q=1", "/echo/a%20b?q=1", &["/u/a%20b"][..]), ("/echo/x", "/echo/x", &[])]
        {
            let echo = connection.get(path).await.expect("answered").json();
            assert_eq!(echo["target"], target, "{name} {path}");
            assert_eq!(told(&echo, "x-replaced-path"), replaced, "{name} {path}");
        }
    }
}
