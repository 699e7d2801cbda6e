//! AWS Query, the protocol of STS and IAM: a form in, XML out.

use std::{collections::BTreeMap, fmt::Write as _};

use percent_encoding::percent_decode_str;

use super::{Answer, Request};
use crate::{error::ServiceError, state::Service};

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// From the body, or from the query string of a GET.
    pub(crate) fn parse(request: &Request) -> Self {
        let body = String::from_utf8_lossy(&request.body);
        let text = if body.is_empty() { request.query.as_str() } else { &body };
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// All values in one text, for faults that look for one.
    pub(crate) fn text(&self) -> String {
        self.0.values().fold(String::new(), |text, value| text + value + "\n")
    }

    /// A parameter that may be absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<&str, ServiceError> {
        self.get(name).ok_or_else(|| {
            let member = format!("{}{}", name[..1].to_ascii_lowercase(), &name[1..]);
            validation(&member, "Member must not be null")
        })
    }

    /// The entries of `<name>.member.N`.
    pub(crate) fn members(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.member.{n}"))).collect()
    }

    /// The entries of `<name>.member.N.Key` and `.Value`.
    pub(crate) fn pairs(&self, name: &str) -> Vec<(&str, &str)> {
        (1..)
            .map_while(|n| {
                let key = self.get(&format!("{name}.member.{n}.Key"))?;
                Some((key, self.get(&format!("{name}.member.{n}.Value")).unwrap_or_default()))
            })
            .collect()
    }

    /// The names of the parameters that are there and not listed: what the double would otherwise ignore.
    pub(crate) fn has_any(&self, prefixes: &[&str]) -> Option<&str> {
        self.0.keys().map(String::as_str).find(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)))
    }
}

/// IAM's and STS's answer to a parameter that breaks a constraint of the service model.
pub(crate) fn validation(member: &str, rule: &str) -> ServiceError {
    ServiceError::new(
        "ValidationError",
        format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: {rule}"),
    )
}

/// A growing piece of XML.
#[derive(Clone, Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// `<tag>text</tag>`.
    #[must_use]
    pub(crate) fn text(mut self, tag: &str, text: impl std::fmt::Display) -> Self {
        let text = escape(&text.to_string());
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<{tag}>{text}</{tag}>");
        self
    }

    /// The same, if there is something to say.
    #[must_use]
    pub(crate) fn optional(self, tag: &str, text: Option<impl std::fmt::Display>) -> Self {
        match text {
            Some(text) => self.text(tag, text),
            None => self,
        }
    }

    /// `<tag>inner</tag>`.
    #[must_use]
    pub(crate) fn nest(mut self, tag: &str, inner: &Self) -> Self {
        let _ = write!(self.0, "<{tag}>{}</{tag}>", inner.0);
        self
    }

    /// Puts another piece behind this one.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// `<tag><member>…</member>…</tag>`.
    #[must_use]
    pub(crate) fn list(self, tag: &str, members: impl IntoIterator<Item = Self>) -> Self {
        let inner = members.into_iter().fold(Self::default(), |list, member| list.nest("member", &member));
        self.nest(tag, &inner)
    }

    /// `<tag><member>text</member>…</tag>`.
    #[must_use]
    pub(crate) fn texts(self, tag: &str, members: impl IntoIterator<Item = impl std::fmt::Display>) -> Self {
        let inner = members.into_iter().fold(Self::default(), |list, member| list.text("member", member));
        self.nest(tag, &inner)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Renders the outcome of an operation.
pub(crate) fn encode(service: Service, operation: &str, outcome: &Result<Xml, ServiceError>) -> Answer {
    let namespace = match service {
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "https://iam.amazonaws.com/doc/2010-05-08/",
    };
    let id = super::request_id();
    let (status, body) = match outcome {
        Ok(Xml(result)) => (
            200,
            format!(
                "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{result}</{operation}Result>\
                 <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
            ),
        ),
        Err(ServiceError { code, message, status }) => {
            let kind = if *status < 500 { "Sender" } else { "Receiver" };
            let (code, message) = (escape(code), escape(message));
            (
                *status,
                format!(
                    "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{kind}</Type><Code>{code}</Code>\
                     <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
                ),
            )
        }
    };
    let headers = vec![("content-type", "text/xml".to_owned()), ("x-amzn-requestid", id)];
    Answer { status, headers, body: body.into_bytes() }
}
