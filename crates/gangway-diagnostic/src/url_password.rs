//! Passwords in URLs, which no diagnostic shows.

/// The text with the password of each URL in it masked. Each byte becomes a star, so that places in the text stay.
pub(crate) fn masked(text: String) -> String {
    if !text.contains("://") {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, behind)) = rest.split_once("://") {
        masked.push_str(before);
        masked.push_str("://");
        let is_end = |char: char| matches!(char, '/' | '?' | '#' | '`' | '"' | '\'' | ',') || char.is_whitespace();
        let authority = &behind[..behind.find(is_end).unwrap_or(behind.len())];
        if let Some((user, password)) = authority.rsplit_once('@').and_then(|(info, _)| info.split_once(':')) {
            masked.push_str(user);
            masked.push(':');
            masked.extend(std::iter::repeat_n('*', password.len()));
            rest = &behind[user.len() + 1 + password.len()..];
        } else {
            rest = behind;
        }
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_are_masked_and_places_stay() {
        for (text, shown) in [
            ("`http://ann:hünter@auth:9091/x@y` is wrong", "`http://ann:*******@auth:9091/x@y` is wrong"),
            ("http://ann@auth/", "http://ann@auth/"),
            ("http://auth:80/a:b@c", "http://auth:80/a:b@c"),
            ("h2c://a:b:c@d@e, https://f:g@h", "h2c://a:*****@e, https://f:*@h"),
            ("a: b@c", "a: b@c"),
            ("http://:@", "http://:@"),
        ] {
            assert_eq!(masked(text.to_owned()), shown);
            assert_eq!(shown.len(), text.len());
        }
    }
}
