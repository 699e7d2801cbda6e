//! JSON that is written back as it was read: the order of members, members that occur twice, and numbers digit by digit.
//!
//! Parsing into numbers would turn `1.10` into `1.1`, round `123456789012345678901234567890` and refuse `1E400`. Whatever
//! is not a list or an object is therefore kept as the fragment of text that it was.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// How deep lists and objects are opened. What lies deeper is kept as one fragment, so that depth costs no stack.
const DEPTH_MAX: usize = 48;

/// A JSON value of which every byte that carries meaning is kept.
#[derive(Clone, Debug, Hash, PartialEq)]
pub enum Json {
    /// A number, text, boolean or null.
    Fragment(Fragment),
    /// A list.
    List(Vec<Self>),
    /// An object, with its members in the order in which they came.
    Object(Vec<Property>),
}

/// What is neither a list nor an object, as it was written.
#[derive(Clone, Debug)]
pub struct Fragment {
    raw: Box<RawValue>,
    /// What a text says.
    text: Option<String>,
}

/// A member of an object.
#[derive(Clone, Debug, Hash, PartialEq)]
pub struct Property {
    key: Fragment,
    value: Json,
}

impl PartialEq for Fragment {
    fn eq(&self, other: &Self) -> bool {
        self.raw.get() == other.raw.get()
    }
}

impl Hash for Fragment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw.get().hash(state);
    }
}

impl Fragment {
    fn of(raw: &RawValue) -> Self {
        let text = raw.get().starts_with('"').then(|| serde_json::from_str(raw.get()).ok()).flatten();
        Self { raw: raw.to_owned(), text }
    }
}

impl Property {
    /// The member's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.text.as_deref().unwrap_or_default()
    }

    /// The member's value.
    #[must_use]
    pub fn value(&self) -> &Json {
        &self.value
    }
}

/// The members of an object, twice-named ones included.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// What is not JSON, with line and column, and without quoting anything of it.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        open(serde_json::from_str(text)?, DEPTH_MAX)
    }

    /// The member of this name; of several the last one, which is the one that counts for AWS as well.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().rfind(|member| member.name() == name).map(Property::value)
    }

    /// The member of this name, unless it is null, which says the same as no member.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<&Self> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        members.iter_mut().rfind(|member| member.name() == name).map(|member| &mut member.value)
    }

    /// The members of an object.
    #[must_use]
    pub fn members(&self) -> &[Property] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// What a text says.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Fragment(fragment) => fragment.text.as_deref(),
            _ => None,
        }
    }

    /// A whole number.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Fragment(fragment) => fragment.raw.get().parse().ok(),
            _ => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text member of this name, empty when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Self::as_str).unwrap_or_default()
    }

    /// The items of the list of this name, none when there is no such list.
    #[must_use]
    pub fn list(&self, name: &str) -> &[Self] {
        self.get(name).and_then(Self::as_list).unwrap_or_default()
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Fragment(fragment) if fragment.raw.get() == "null")
    }

    /// Whether it says nothing: null, an empty text, list or object.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Fragment(fragment) => matches!(fragment.raw.get(), "null" | "\"\""),
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
        }
    }

    /// Sets a member of an object, in the place where it is.
    pub(super) fn set(&mut self, name: &str, value: Self) {
        let Self::Object(members) = self else { return };
        let Some(at) = members.iter().rposition(|member| member.name() == name) else {
            members.push(Property { key: fragment_of_text(name), value });
            return;
        };
        members[at].value = value;
        let mut index = 0;
        members.retain(|member| {
            index += 1;
            index - 1 == at || member.name() != name
        });
    }

    /// Takes a member out of an object.
    pub(super) fn remove(&mut self, name: &str) {
        if let Self::Object(members) = self {
            members.retain(|member| member.name() != name);
        }
    }

    /// Whether both mean the same: the order of members does not count, and a member that is null counts as absent.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fragment(a), Self::Fragment(b)) => a == b || (a.text.is_some() && a.text == b.text),
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.means(b)),
            (Self::Object(a), Self::Object(b)) => {
                let (a, b) = (by_name(a), by_name(b));
                a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| a.means(b)))
            }
            _ => false,
        }
    }

    /// Calls `visit` with every text in it, those of nested values included.
    pub fn each_text<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        match self {
            // A list or object that was not opened is looked at as the text that it is.
            Self::Fragment(fragment) => visit(fragment.text.as_deref().unwrap_or_else(|| fragment.raw.get())),
            Self::List(items) => items.iter().for_each(|item| item.each_text(visit)),
            Self::Object(members) => members.iter().for_each(|member| member.value.each_text(visit)),
        }
    }

    /// Its canonical text: members in alphabetical order, without those that are null.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::Fragment(Fragment { text: Some(text), .. }) => quoted(text),
            Self::Fragment(fragment) => fragment.raw.get().to_owned(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::canonical).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(members) => {
                let members = by_name(members);
                let members = members.iter().map(|(name, value)| format!("{}:{}", quoted(name), value.canonical()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// Members by name, of several with one name the last; without those that are null.
fn by_name(members: &[Property]) -> BTreeMap<&str, &Json> {
    let mut named: BTreeMap<&str, &Json> = members.iter().map(|member| (member.name(), &member.value)).collect();
    named.retain(|_, value| !value.is_null());
    named
}

fn open(raw: &RawValue, depth: usize) -> Result<Json, serde_json::Error> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            let Members(members) = serde_json::from_str(text)?;
            let property = |(key, value): &(&RawValue, &RawValue)| {
                Ok(Property { key: Fragment::of(key), value: open(value, depth - 1)? })
            };
            members.iter().map(property).collect::<Result<_, _>>().map(Json::Object)
        }
        Some(b'[') if depth > 0 => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            items.into_iter().map(|item| open(item, depth - 1)).collect::<Result<_, _>>().map(Json::List)
        }
        _ => Ok(Json::Fragment(Fragment::of(raw))),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn fragment_of_text(text: &str) -> Fragment {
    let raw = RawValue::from_string(quoted(text)).expect("a quoted text is JSON");
    Fragment { raw, text: Some(text.to_owned()) }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Fragment(fragment_of_text(text))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::parse(&value.to_string()).expect("a value is written as JSON")
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fragment(fragment) => f.write_str(fragment.raw.get()),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, Property { key, value }) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, key.raw.get())?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back_digit_by_digit() {
        let deep = format!("{}1.10{}", "[".repeat(300), "]".repeat(300));
        for text in [
            "123456789012345678901234567890",
            "1.10",
            "1E400",
            "-0.0",
            "[1e-9,null,{},[],\"\"]",
            r#"{"b":1.0,"a":{"z":null,"y":{}},"b":2.00}"#,
            r#"{"\u0061":"\ud800 \/ ä","":0}"#,
            &deep,
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Json::parse(" { \"a\" : [ 1 , 2 ] } ").unwrap().to_string(), r#"{"a":[1,2]}"#);
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, place) in [("", "column 0"), (r#"{"a":}"#, "column 6"), ("{\"a\":1\n,,}", "line 2 column 2")] {
            let error = Json::parse(text).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }

    #[test]
    fn of_members_with_one_name_the_last_counts_and_is_the_one_that_is_set() {
        let mut json = Json::parse(r#"{"a":1,"b":2,"a":3,"c":4}"#).unwrap();
        assert_eq!(json.get("a").and_then(Json::as_i64), Some(3));
        json.set("a", "new".into());
        json.set("d", "x".into());
        json.remove("c");
        assert_eq!(json.to_string(), r#"{"b":2,"a":"new","d":"x"}"#);
    }

    #[test]
    fn the_order_of_members_and_the_way_a_text_is_escaped_mean_nothing() {
        let of = |text: &str| Json::parse(text).unwrap();
        let a = of(r#"{"x":["\u0061",{"p":1,"q":2}],"y":1.10}"#);
        assert!(a.means(&of(r#"{"y":1.10,"x":["a",{"q":2,"p":1}]}"#)));
        assert!(a.means(&of(r#"{"n":null,"y":1.10,"x":["a",{"q":2,"p":1,"n":null}]}"#)), "null says nothing");
        assert!(!of("[null]").means(&of("[]")), "an item of a list is there even if it is null");
        for other in [r#"{"x":["a",{"q":2,"p":1}]}"#, r#"{"y":1.10,"x":[{"q":2,"p":1},"a"]}"#, "[]", "null"] {
            assert!(!a.means(&of(other)), "{other}");
        }
        assert_eq!(of(r#"{"b":1,"n":null,"a":{"d":2,"c":3}}"#).canonical(), r#"{"a":{"c":3,"d":2},"b":1}"#);
    }
}
