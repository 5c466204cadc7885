//! Who has logged in, as the provider says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A user. No text in it has control characters.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// Who the user is and remains: unique at the provider, and never given to somebody else.
    #[serde(rename = "s")]
    pub subject: String,
    /// The name that the user goes by, if the provider says one.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An e-mail address of the user's own. One that is not verified is left out.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name for people.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The user's groups. None has a comma: applications read them as a list with commas.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// How claims are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) groups_claim: &'a str,
    pub(crate) trust_email: bool,
}

impl User {
    /// Reads what is said of a user. What cannot be passed on as it is, is left out: a shortened name would be another one.
    pub(crate) fn of(subject: String, claims: &Map<String, Value>, reading: Reading<'_>) -> Self {
        let text =
            |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| is_clean(text)).map(str::to_owned);
        let is_verified = reading.trust_email
            || match claims.get("email_verified") {
                Some(Value::Bool(verified)) => *verified,
                // Some providers write it as a text.
                Some(Value::String(verified)) => verified == "true",
                Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
            };
        let is_address = |text: &String| {
            text.split_once('@').is_some_and(|(user, domain)| {
                !user.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(' ')
            })
        };
        let groups = match claims.get(reading.groups_claim) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![&**one],
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        };
        let is_group = |group: &&str| is_clean(group) && !group.contains(',');
        Self {
            subject,
            name: text("preferred_username"),
            email: text("email").filter(is_address).filter(|_| is_verified),
            display_name: text("name"),
            groups: groups.into_iter().filter(is_group).map(str::to_owned).collect(),
        }
    }

    /// The name under which applications and the log know the user: the one that the user goes by, else the address, else the
    /// subject.
    pub fn known_as(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

/// Whether a text is one line of something.
fn is_clean(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value, trust_email: bool) -> User {
        let reading = Reading { groups_claim: "groups", trust_email };
        User::of("s".into(), claims.as_object().expect("an object"), reading)
    }

    #[test]
    fn what_cannot_be_passed_on_is_left_out() {
        let user = read(
            &json!({
                "preferred_username": "ann\r\nRemote-User: root", "name": "An\u{0}n",
                "groups": ["users", "a,admins", "x\ny", "", " admins", 3, null],
            }),
            false,
        );
        assert_eq!(user, User { subject: "s".into(), groups: vec!["users".into()], ..User::default() });
        assert_eq!(user.known_as(), "s");
        assert_eq!(read(&json!({ "groups": "admins" }), false).groups, ["admins"]);
    }

    #[test]
    fn an_address_counts_only_where_it_is_the_users_own() {
        let email = |verified: Value, trust| {
            read(&json!({ "email": "Ann@Example.org", "email_verified": verified }), trust).email.is_some()
        };
        for (verified, counts) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            assert_eq!(email(verified.clone(), false), counts, "{verified}");
            assert!(email(verified, true));
        }
        for text in ["", "ann", "@example.org", "ann@", "a@b@c", "a b@c"] {
            assert_eq!(read(&json!({ "email": text, "email_verified": true }), false).email, None, "{text}");
        }
    }
}
