//! What was last seen in place, as short hashes by field: enough to tell a change, and nothing that could leak.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use crate::domain::{names::short_hash, plan::FieldValue};

/// What a part's fields were when they were last seen in place, and what has been written to them since, as hashes: any
/// of it may be found there without anybody else's doing. As text: `field=hash` joined by `;`, several hashes of a field
/// by `|`, its absence as `-`. It is shared by all that remember the same one.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Digest(Arc<BTreeMap<String, BTreeSet<String>>>);

/// How the absence of a field is written.
const ABSENT: &str = "-";

impl Digest {
    /// The digest of these fields.
    #[must_use]
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a String, &'a FieldValue)>) -> Self {
        let hashes = fields.into_iter().map(|(name, value)| (name.clone(), BTreeSet::from([hash(&value.meaning)])));
        Self(Arc::new(hashes.collect()))
    }

    /// Whether the field may be this (`None` is its absence) without anybody else's doing.
    #[must_use]
    pub fn says(&self, field: &str, meaning: Option<&str>) -> bool {
        let wanted = meaning.map_or_else(|| ABSENT.to_owned(), hash);
        self.0.get(field).map_or_else(|| meaning.is_none(), |hashes| hashes.contains(&wanted))
    }

    /// Whether the field was ever seen in place or written by us.
    #[must_use]
    pub fn knows(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// These fields are about to be written: from here on the part may be found as it was, or as it will be.
    pub fn expect(&mut self, fields: &BTreeMap<String, FieldValue>) {
        let names: BTreeSet<String> = self.0.keys().chain(fields.keys()).cloned().collect();
        for name in names {
            let coming = fields.get(&name).map_or_else(|| ABSENT.to_owned(), |value| hash(&value.meaning));
            Arc::make_mut(&mut self.0)
                .entry(name)
                .or_insert_with(|| BTreeSet::from([ABSENT.to_owned()]))
                .insert(coming);
        }
    }

    /// Keeps what another digest says of these fields.
    pub fn keep(&mut self, before: &Self, fields: &BTreeSet<String>) {
        for (field, hashes) in before.0.iter().filter(|(field, _)| fields.contains(*field)) {
            Arc::make_mut(&mut self.0).insert(field.clone(), hashes.clone());
        }
    }
}

fn hash(meaning: &str) -> String {
    short_hash(&[meaning])
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, hashes)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
            write!(f, "{separator}{field}={}", hashes.join("|"))?;
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
            .map(|pair| pair.map(|(field, hashes)| (field.to_owned(), hashes.split('|').map(str::to_owned).collect())))
            .collect::<Result<_, _>>()
            .map(|hashes| Self(Arc::new(hashes)))
    }
}
