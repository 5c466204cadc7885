//! What templates give, what is wrong with them, and how much they may take.

use std::collections::BTreeMap;

use super::{GoTemplate, OUTPUT_LEN_MAX, TemplateContainer, TemplateData, TemplateError};

fn variable(name: &str) -> Option<String> {
    (name == "HOME_DOMAIN").then(|| "home.test".to_owned())
}

fn for_container(template: &str) -> Result<String, TemplateError> {
    let labels: BTreeMap<Box<str>, Box<str>> =
        [("sub".into(), "api".into()), ("com.docker.compose.service".into(), "web".into())].into();
    let container = TemplateContainer { name: "web-my_shop", container_name: "/My-Shop", labels: &labels };
    let data = TemplateData { container: Some(container), variable: &variable };
    GoTemplate::parse(template)?.render(&data)
}

fn for_file(template: &str) -> Result<String, TemplateError> {
    GoTemplate::parse(template)?.render(&TemplateData { container: None, variable: &variable })
}

#[test]
fn templates_give_what_go_gives() {
    for (template, text) in [
        ("Host(`{{ normalize .Name }}`)", "Host(`web-my-shop`)"),
        ("{{ index .Labels \"com.docker.compose.service\" }}.x", "web.x"),
        ("{{ index .Labels \"nope\" }}", ""),
        ("{{ .Labels.sub }}/{{ .Labels.nope }}", "api/<no value>"),
        ("{{ .ContainerName | trimPrefix \"/\" | lower }}", "my-shop"),
        ("{{if index .Labels \"sub\"}}a{{else}}b{{end}}", "a"),
        ("{{ if index .Labels \"nope\" }}a{{ else if eq .Name \"x\" \"web-my_shop\" }}b{{ else }}c{{ end }}", "b"),
        ("{{ if and (index .Labels \"sub\") (not (index .Labels \"nope\")) }}yes{{ end }}", "yes"),
        ("{{ or (index .Labels \"nope\") \"else\" }}", "else"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("a {{- .Name -}} b", "aweb-my_shopb"),
        ("{{/* a comment */}}x", "x"),
        ("{{ env \"HOME_DOMAIN\" }}{{ env \"NOPE\" }}", "home.test"),
        ("{{ env `NOPE` | default \"there.test\" }}", "there.test"),
        ("{{ regexReplaceAll \"^([a-z]+)-.*$\" .Name \"${1}!\" }}", "web!"),
        ("{{ replace \"_\" \"-\" .Name | upper }}", "WEB-MY-SHOP"),
        ("{{ printf \"%s.%s-%d\" .Name (env \"HOME_DOMAIN\") 3 }}", "web-my_shop.home.test-3"),
        ("{{ index (splitList \"-\" .Name) 0 }}", "web"),
        ("{{ splitList \"-\" .Name | last | trimSuffix \"shop\" }}", "my_"),
        ("{{ add 1 2 }}{{ sub 1 2 }}", "3-1"),
        ("{{ true }}{{ ternary \"a\" \"b\" false }}", "trueb"),
        ("{{ quote \"a\\\"b\\u00e4\\x41\" }}", "\"a\\\"bäA\""),
        ("{{ print 1 2 \"a\" 3 }}", "1 2a3"),
        ("}} {", "}} {"),
        ("", ""),
    ] {
        assert_eq!(for_container(template).as_deref(), Ok(text), "{template}");
    }
    assert_eq!(for_file("x: {{ env \"HOME_DOMAIN\" | quote }}").as_deref(), Ok("x: \"home.test\""));
    assert_eq!(for_file("{{ if . }}a{{ end }}b").as_deref(), Ok("b"));
}

#[test]
fn what_is_no_template_is_named_where_it_stands() {
    for (template, offset, message) in [
        ("Host(`{{ .Nope", 6, "`{{` is never closed"),
        ("{{ .Nope }}", 3, "there is no field `.Nope`"),
        ("{{ .Labels.a.b }}", 3, "there is no field `.a`"),
        ("{{ range .Labels }}{{ end }}", 3, "templates with `range` are not supported"),
        ("{{ with .Name }}{{ end }}", 3, "templates with `with` are not supported"),
        ("{{ $a := 1 }}", 3, "`$` belongs to variables of templates, which Gangway does not have"),
        ("a{{ nrmalize .Name }}", 4, "unknown function `nrmalize` in a template"),
        ("{{ lower }}", 3, "`lower` does not take 0 values"),
        ("{{ lower .Labels }}", 3, "a function gets all labels where it takes a text"),
        ("{{ .Name .Name }}", 3, "this is not a function, but values follow it"),
        ("{{ .Name | .Name }}", 11, "this is not a function, but values follow it"),
        ("{{ (.Name }}", 3, "`(` is never closed"),
        ("{{ .Name ) }}", 9, "unexpected word in a template"),
        ("{{ if .Name }}", 0, "`if` has no `end`"),
        ("{{ end }}", 0, "`end` belongs to no `if`"),
        ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", 24, "`else` belongs to no `if`"),
        ("{{ }}", 0, "an expression is missing"),
        ("{{ \"a }}", 3, "a text of the template is never closed"),
        ("{{ \"\\q\" }}", 4, "unknown escape in a text of the template"),
        ("{{ 1.5 }}", 3, "`1.5` is not a whole number"),
        ("{{ . }}", 3, "the container itself is not a text"),
        ("{{ regexMatch \"(\" .Name }}", 3, "`(` is not a regular expression, or too large"),
    ] {
        let error = for_container(template).expect_err(template);
        assert_eq!((error.offset, &*error.message), (offset, message), "{template}");
        assert!(error.span().end <= template.len() && !error.help.is_empty(), "{template}");
    }
    assert_eq!(for_container("{{ nrmalize .Name }}").expect_err("unknown").help, "did you mean `normalize`?");
    assert_eq!(for_file("{{ .Name }}").expect_err("no container").message, "there is no field `.Name`");
}

#[test]
fn texts_that_grow_are_bounded() {
    let a = "a".repeat(1000);
    let grown = format!("{{{{ replace \"a\" \"{a}\" \"{a}\" | replace \"a\" \"{a}\" }}}}");
    assert_eq!(for_container(&grown).expect_err("too long").message, "the text of the template is longer than 1 MiB");
    let grown = format!("{{{{ regexReplaceAll \"a\" (replace \"a\" \"{a}\" \"{a}\") \"bb\" }}}}");
    assert_eq!(for_container(&grown).expect_err("too long").message, "the text of the template is longer than 1 MiB");
    let steps = format!("{{{{ if eq \"\" (upper (replace \"a\" \"{a}\" \"{a}\")) }}}}{{{{ end }}}}").repeat(10);
    assert_eq!(for_container(&steps).expect_err("too much").message, "the text of the template is longer than 1 MiB");
    assert!(for_file(&"a".repeat(OUTPUT_LEN_MAX + 1)).is_err());
    let deep = format!("{{{{ {}.Name{} }}}}", "(".repeat(60), ")".repeat(60));
    assert_eq!(for_container(&deep).expect_err("too deep").message, "too many parentheses inside each other");
    let deep = "{{ if .Name }}".repeat(60);
    assert_eq!(for_container(&deep).expect_err("too deep").message, "too many `if` inside each other");
}

#[test]
fn a_byte_of_the_text_leads_back_to_the_template() {
    let template = "a: {{ env \"HOME_DOMAIN\" }}\nb: x";
    let parsed = GoTemplate::parse(template).expect("a template");
    let rendered = parsed.render_with_origins(&TemplateData { container: None, variable: &variable }).expect("a text");
    assert_eq!(rendered.text, "a: home.test\nb: x");
    assert_eq!(rendered.origin(0), 0);
    assert_eq!(rendered.origin(5), template.find("env").expect("the function"));
    assert_eq!(rendered.origin(rendered.text.len() - 1), template.len() - 1);
}

proptest::proptest! {
    /// Anyone may write a template, and what they may ask of it.
    #[test]
    fn nothing_written_in_a_template_panics(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{{-", "-}}", " ", "/*", "*/", "if ", "else ", "end", ".", ".Name", ".Labels", "\"", "`", "\\",
                "\\u00", "ä", "|", "(", ")", "index ", "replace ", "printf ", "\"%s%\"", "-", "1", "99999999999999999999", "$x",
                "regexReplaceAll ", "\"(a\"", "first ", "add ", "join ", "splitList ", "\"\" ", "ternary ", "true ",
            ]),
            0..24,
        )
    ) {
        let template = words.concat();
        match for_container(&template) {
            Ok(text) => proptest::prop_assert!(text.len() <= OUTPUT_LEN_MAX),
            Err(error) => proptest::prop_assert!(template.get(error.span()).is_some(), "{:?} in {}", error, template),
        }
    }
}
