//! The functions of templates. They give what those of Go and Sprig with the same names give.

use std::ops::Range;

use gangway_diagnostic::printable;

use super::error::TemplateError;
use super::value::Value;
use crate::regex_pattern::RegexPattern;

macro_rules! functions {
    ($($variant:ident = $name:literal, $least:literal, $most:literal, $usage:literal;)*) => {
        /// A function of templates.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Function {
            $($variant,)*
        }

        /// The names of all functions.
        pub const FUNCTIONS: &[&str] = &[$($name,)*];

        impl Function {
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            pub(super) fn takes(self, count: usize) -> bool {
                match self {
                    $(Self::$variant => ($least..=$most).contains(&count),)*
                }
            }

            pub(super) fn usage(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("it is used as `", $usage, "`"),)*
                }
            }
        }
    };
}

functions! {
    Index = "index", 2, 2, "index .Labels \"key\"";
    Normalize = "normalize", 1, 1, "normalize .Name";
    Env = "env", 1, 1, "env \"NAME\"";
    Lower = "lower", 1, 1, "lower TEXT";
    Upper = "upper", 1, 1, "upper TEXT";
    Title = "title", 1, 1, "title TEXT";
    Trim = "trim", 1, 1, "trim TEXT";
    TrimAll = "trimAll", 2, 2, "trimAll CHARACTERS TEXT";
    TrimPrefix = "trimPrefix", 2, 2, "trimPrefix PREFIX TEXT";
    TrimSuffix = "trimSuffix", 2, 2, "trimSuffix SUFFIX TEXT";
    Replace = "replace", 3, 3, "replace OLD NEW TEXT";
    RegexReplaceAll = "regexReplaceAll", 3, 3, "regexReplaceAll REGEX TEXT REPLACEMENT";
    RegexMatch = "regexMatch", 2, 2, "regexMatch REGEX TEXT";
    Contains = "contains", 2, 2, "contains PART TEXT";
    HasPrefix = "hasPrefix", 2, 2, "hasPrefix PREFIX TEXT";
    HasSuffix = "hasSuffix", 2, 2, "hasSuffix SUFFIX TEXT";
    SplitList = "splitList", 2, 2, "splitList SEPARATOR TEXT";
    Join = "join", 2, 2, "join SEPARATOR LIST";
    First = "first", 1, 1, "first LIST";
    Last = "last", 1, 1, "last LIST";
    Len = "len", 1, 1, "len VALUE";
    Default = "default", 2, 2, "default FALLBACK VALUE";
    Coalesce = "coalesce", 1, 100, "coalesce VALUE VALUE";
    Ternary = "ternary", 3, 3, "ternary THEN ELSE CONDITION";
    Quote = "quote", 1, 1, "quote TEXT";
    Printf = "printf", 1, 100, "printf \"%s.%s\" VALUE VALUE";
    Print = "print", 1, 100, "print VALUE VALUE";
    ToString = "toString", 1, 1, "toString VALUE";
    Eq = "eq", 2, 100, "eq VALUE VALUE";
    Ne = "ne", 2, 2, "ne VALUE VALUE";
    And = "and", 1, 100, "and VALUE VALUE";
    Or = "or", 1, 100, "or VALUE VALUE";
    Not = "not", 1, 1, "not VALUE";
    Add = "add", 1, 100, "add NUMBER NUMBER";
    Sub = "sub", 2, 2, "sub NUMBER NUMBER";
}

/// One call of a function.
pub(super) struct Call<'c> {
    pub span: &'c Range<usize>,
    pub variable: &'c dyn Fn(&str) -> Option<String>,
    /// A longer text is not made.
    pub len_max: usize,
}

impl Call<'_> {
    pub(super) fn make<'d>(
        &self,
        function: Function,
        mut arguments: Vec<Value<'d>>,
    ) -> Result<Value<'d>, TemplateError> {
        let text = |position: usize| self.text(&arguments, position);
        Ok(match function {
            Function::Index => return self.index(&arguments),
            Function::Normalize => Value::Text(normalize(text(0)?)),
            Function::Env => Value::Text((self.variable)(text(0)?).unwrap_or_default()),
            Function::Lower => Value::Text(text(0)?.to_lowercase()),
            Function::Upper => Value::Text(text(0)?.to_uppercase()),
            Function::Title => Value::Text(title(text(0)?)),
            Function::Trim => Value::Text(text(0)?.trim().to_owned()),
            Function::TrimAll => {
                let set = text(0)?;
                Value::Text(text(1)?.trim_matches(|character| set.contains(character)).to_owned())
            }
            Function::TrimPrefix => {
                let whole = text(1)?;
                Value::Text(whole.strip_prefix(text(0)?).unwrap_or(whole).to_owned())
            }
            Function::TrimSuffix => {
                let whole = text(1)?;
                Value::Text(whole.strip_suffix(text(0)?).unwrap_or(whole).to_owned())
            }
            Function::Replace => Value::Text(self.replace(text(0)?, text(1)?, text(2)?)?),
            Function::RegexReplaceAll => Value::Text(self.regex_replace(text(0)?, text(1)?, text(2)?)?),
            Function::RegexMatch => Value::Bool(self.regex(text(0)?)?.is_match(text(1)?)),
            Function::Contains => Value::Bool(text(1)?.contains(text(0)?)),
            Function::HasPrefix => Value::Bool(text(1)?.starts_with(text(0)?)),
            Function::HasSuffix => Value::Bool(text(1)?.ends_with(text(0)?)),
            Function::SplitList => Value::List(split(text(0)?, text(1)?)),
            Function::Join => match &arguments[1] {
                Value::List(items) => Value::Text(items.join(text(0)?)),
                other => Value::Text(self.printed(other)?),
            },
            Function::First | Function::Last => match &arguments[0] {
                Value::List(items) => {
                    let item = if function == Function::First { items.first() } else { items.last() };
                    item.map_or(Value::Missing, |item| Value::Text(item.clone()))
                }
                other => return Err(self.unfit(other, "a list")),
            },
            Function::Len => Value::Number(self.len(&arguments[0])?),
            Function::Default => {
                let value = arguments.swap_remove(1);
                if value.holds() { value } else { arguments.swap_remove(0) }
            }
            Function::Coalesce => arguments.into_iter().find(Value::holds).unwrap_or(Value::Missing),
            Function::Ternary => {
                let Value::Bool(holds) = arguments[2] else { return Err(self.unfit(&arguments[2], "true or false")) };
                arguments.swap_remove(usize::from(!holds))
            }
            Function::Quote => Value::Text(go_quoted(&self.printed(&arguments[0])?)),
            Function::Printf => Value::Text(self.printf(text(0)?, &arguments[1..])?),
            Function::Print => Value::Text(self.print(&arguments)?),
            Function::ToString => Value::Text(self.printed(&arguments[0])?),
            Function::Eq => Value::Bool(arguments[1..].iter().any(|other| *other == arguments[0])),
            Function::Ne => Value::Bool(arguments[0] != arguments[1]),
            // The renderer decides on these two before it looks at all of their values.
            Function::And | Function::Or => arguments.pop().unwrap_or(Value::Missing),
            Function::Not => Value::Bool(!arguments[0].holds()),
            Function::Add => {
                let numbers = (0..arguments.len()).map(|position| self.number(&arguments[position]));
                Value::Number(numbers.sum::<Result<Wrapping, _>>()?.0)
            }
            Function::Sub => Value::Number(self.number(&arguments[0])?.0.wrapping_sub(self.number(&arguments[1])?.0)),
        })
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> TemplateError {
        TemplateError::new(self.span.clone(), message, help)
    }

    fn unfit(&self, value: &Value<'_>, wanted: &str) -> TemplateError {
        self.error(format!("a function gets {} where it takes {wanted}", value.kind()), format!("give it {wanted}"))
    }

    fn text<'a>(&self, arguments: &'a [Value<'_>], position: usize) -> Result<&'a str, TemplateError> {
        match &arguments[position] {
            Value::Text(text) => Ok(text),
            other => Err(self.unfit(other, "a text")),
        }
    }

    fn number(&self, value: &Value<'_>) -> Result<Wrapping, TemplateError> {
        match value {
            Value::Number(number) => Ok(Wrapping(*number)),
            // Sprig makes numbers of texts, and 0 of what is none.
            Value::Text(text) => Ok(Wrapping(text.parse().unwrap_or_default())),
            other => Err(self.unfit(other, "a number")),
        }
    }

    fn printed(&self, value: &Value<'_>) -> Result<String, TemplateError> {
        value.print().ok_or_else(|| self.unfit(value, "a text"))
    }

    fn bounded(&self, len: usize) -> Result<(), TemplateError> {
        if len <= self.len_max {
            return Ok(());
        }
        Err(self.error("the text of the template is longer than 1 MiB", "write a shorter one"))
    }

    fn index<'d>(&self, arguments: &[Value<'d>]) -> Result<Value<'d>, TemplateError> {
        match (&arguments[0], &arguments[1]) {
            // A map of texts gives an empty one where it lacks a key.
            (Value::Labels(labels), Value::Text(key)) => {
                Ok(Value::Text(labels.get(key.as_str()).map(ToString::to_string).unwrap_or_default()))
            }
            (Value::List(items), Value::Number(position)) => usize::try_from(*position)
                .ok()
                .and_then(|position| items.get(position))
                .map(|item| Value::Text(item.clone()))
                .ok_or_else(|| self.error(format!("the list has no item {position}"), "the first item is 0")),
            (Value::Labels(_), other) => Err(self.unfit(other, "a text")),
            (other, _) => Err(self.unfit(other, "labels or a list")),
        }
    }

    fn len(&self, value: &Value<'_>) -> Result<i64, TemplateError> {
        let len = match value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.len(),
            Value::Labels(labels) => labels.len(),
            Value::Number(_) | Value::Bool(_) | Value::Container | Value::Missing => {
                return Err(self.unfit(value, "a text or a list"));
            }
        };
        Ok(i64::try_from(len).unwrap_or(i64::MAX))
    }

    fn replace(&self, old: &str, new: &str, text: &str) -> Result<String, TemplateError> {
        let count = text.matches(old).count();
        self.bounded((text.len() + count.saturating_mul(new.len())).saturating_sub(count * old.len()))?;
        Ok(text.replace(old, new))
    }

    fn regex(&self, text: &str) -> Result<RegexPattern, TemplateError> {
        RegexPattern::parse(text, &mut Vec::new()).ok_or_else(|| {
            self.error(format!("`{}` is not a regular expression, or too large", printable(text)), "repair it")
        })
    }

    fn regex_replace(&self, regex: &str, text: &str, replacement: &str) -> Result<String, TemplateError> {
        let regex = self.regex(regex)?;
        let mut replaced = String::new();
        let mut copied = 0;
        for captures in regex.regex().captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            replaced.push_str(&text[copied..whole.start()]);
            captures.expand(replacement, &mut replaced);
            copied = whole.end();
            self.bounded(replaced.len())?;
        }
        replaced.push_str(&text[copied..]);
        self.bounded(replaced.len())?;
        Ok(replaced)
    }

    /// Between two values of which neither is a text stands a space.
    fn print(&self, values: &[Value<'_>]) -> Result<String, TemplateError> {
        let mut printed = String::new();
        let mut was_text = true;
        for value in values {
            let is_text = matches!(value, Value::Text(_));
            if !is_text && !was_text {
                printed.push(' ');
            }
            printed.push_str(&self.printed(value)?);
            was_text = is_text;
            self.bounded(printed.len())?;
        }
        Ok(printed)
    }

    fn printf(&self, format: &str, values: &[Value<'_>]) -> Result<String, TemplateError> {
        let mut values = values.iter();
        let mut printed = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                printed.push(character);
                continue;
            }
            let verb = characters.next();
            if verb == Some('%') {
                printed.push('%');
                continue;
            }
            let value =
                values.next().ok_or_else(|| self.error("`printf` has too few values", Function::Printf.usage()))?;
            match verb {
                Some('s' | 'v' | 'd' | 't') => printed.push_str(&self.printed(value)?),
                Some('q') => printed.push_str(&go_quoted(&self.printed(value)?)),
                _ => {
                    return Err(
                        self.error("`printf` knows `%s`, `%d`, `%v`, `%t`, `%q` and `%%` alone", "use one of them")
                    );
                }
            }
            self.bounded(printed.len())?;
        }
        Ok(printed)
    }
}

/// Numbers that wrap when they are added, as Go's do.
struct Wrapping(i64);

impl std::iter::Sum for Wrapping {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        Self(numbers.fold(0, |sum, number| sum.wrapping_add(number.0)))
    }
}

/// Traefik's own function: words of letters and digits, joined by `-`.
fn normalize(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-")
}

fn title(text: &str) -> String {
    let mut begins = true;
    text.chars()
        .map(|character| {
            let shown = if begins { character.to_uppercase().next().unwrap_or(character) } else { character };
            begins = !character.is_alphanumeric() && character != '_' && character != '\'';
            shown
        })
        .collect()
}

/// An empty separator splits after each character.
fn split(separator: &str, text: &str) -> Vec<String> {
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    text.split(separator).map(str::to_owned).collect()
}

/// A text in double quotes.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
