//! Null means absent, whichever way it was applied.

use serde::{Deserialize, Deserializer};

/// An optional list, map or choice: null is its default.
pub(super) fn is_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// An optional value whose null says something else than its absence.
pub(super) fn is_kept<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
