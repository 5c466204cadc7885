//! Services of Gangway itself behind the middlewares of their route, over every way from a client.

mod common;

use std::sync::Arc;

use common::ways::{Way, Ways};
use gangway_model::{
    Authentication, BasicAuth, BasicUser, InternalService, LoginMethod, Middleware, PathChange, Route, Upstream,
};
use http::{HeaderName, HeaderValue};

fn leading_to(service: InternalService) -> Box<dyn Fn(&mut Route) + Send> {
    Box::new(move |route| {
        let id = route.upstream.id.clone();
        route.upstream = Arc::new(Upstream { id, internal: Some(service), ..Upstream::default() });
    })
}

#[tokio::test]
async fn a_service_answers_what_the_middlewares_leave_of_a_request() {
    let ways = Ways::to("own", |own| {
        own.middlewares = vec![
            Middleware::PathChange(Arc::new(PathChange::StripFirst(vec!["/own".into()]))),
            Middleware::ResponseHeader(HeaderName::from_static("x-set").into(), Some(HeaderValue::from_static("1"))),
        ];
        own.change = leading_to(InternalService::Api);
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        for _ in 0..2 {
            let answer = connection.get("/own/api/version?x=1").await.expect("answered");
            assert_eq!((answer.status.as_u16(), answer.header("x-set")), (200, "1"), "{name}");
            assert_eq!(answer.text(), "api@internal GET /api/version?x=1", "{name}");
            assert!(!answer.header("x-request-id").is_empty(), "{name}");
        }
        let head = connection.ask("HEAD", "/own/", &[], "").await.expect("answered");
        assert_eq!((head.header("content-length"), &*head.text()), ("19", ""), "{name}");
        let posted = connection.ask("POST", "/own/", &[], "abc").await.expect("answered");
        assert_eq!(posted.text(), "api@internal POST /", "{name}: the body is passed over");
        assert_eq!(connection.get("/own/").await.expect("answered").text(), "api@internal GET /", "{name}");
    }
    assert_eq!(ways.app.served(), 0);
}

#[tokio::test]
async fn a_page_of_ours_stands_below_the_prefix_of_its_route() {
    let ways = Ways::to("own", |own| {
        own.path = "/own";
        own.change = leading_to(InternalService::Page);
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let bare = connection.get("/own?x=1").await.expect("answered");
        assert_eq!((bare.status.as_u16(), bare.header("location")), (302, "/own/?x=1"), "{name}");
        for (asked, got) in [("/own/", "/"), ("/own/site?route=a", "/site?route=a")] {
            let answer = connection.get(asked).await.expect("answered");
            assert_eq!(answer.text(), format!("page@internal GET {got}"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_protected_service_stays_protected() {
    let user = BasicUser::parse("ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=").expect("a user");
    let ways = Ways::to("own", |own| {
        let basic = BasicAuth {
            users: vec![user.clone()],
            lists: Vec::new(),
            realm: "own".into(),
            keep: false,
            user_field: None,
        };
        let login = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
        own.middlewares = vec![Middleware::Authentication(Arc::new(login))];
        own.change = leading_to(InternalService::Dashboard);
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let refused = connection.get("/dashboard/").await.expect("answered");
        assert_eq!(refused.status, 401, "{name}");
        assert!(!refused.text().contains("internal"), "{name}: {}", refused.text());
        let known = [("authorization", "Basic YW5uOmhlbGxv")];
        let answer = connection.ask("GET", "/dashboard/", &known, "").await.expect("answered");
        assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "dashboard@internal GET /dashboard/"), "{name}");
    }
}

#[tokio::test]
async fn a_closed_route_is_closed_whatever_it_leads_to() {
    let ways = Ways::to("own", |own| {
        own.change = Box::new(|route| {
            leading_to(InternalService::Ping)(route);
            route.closed = true;
        });
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let answer = client.get(host, "/ping").await.expect("answered");
        assert_eq!(answer.status, 503, "{name}");
    }
}
