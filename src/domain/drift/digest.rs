//! What was last seen in place, as short hashes by field: enough to tell a change, and nothing that could leak.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use crate::domain::{names::short_hash, plan::FieldValue};

/// The hashes of a part's fields. As text: `field=hash` joined by `;`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Digest(BTreeMap<String, String>);

impl Digest {
    /// The digest of these fields.
    #[must_use]
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a String, &'a FieldValue)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.clone(), hash(&value.meaning))).collect())
    }

    /// Whether the field was this when it was last seen in place; `None` is its absence.
    #[must_use]
    pub fn says(&self, field: &str, meaning: Option<&str>) -> bool {
        self.0.get(field).map(String::as_str) == meaning.map(hash).as_deref()
    }

    /// Keeps what another digest says of these fields.
    pub fn keep(&mut self, before: &Self, fields: &BTreeSet<String>) {
        for (field, hash) in before.0.iter().filter(|(field, _)| fields.contains(*field)) {
            self.0.insert(field.clone(), hash.clone());
        }
    }
}

fn hash(meaning: &str) -> String {
    short_hash(&[meaning])
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, hash)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{field}={hash}")?;
        }
        Ok(())
    }
}

/// A text that is no digest was not written by us.
#[derive(Debug, thiserror::Error)]
#[error("not a digest")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let pairs = text.split(';').map(|pair| pair.rsplit_once('=').ok_or(NotADigest));
        pairs
            .map(|pair| pair.map(|(field, hash)| (field.to_owned(), hash.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
