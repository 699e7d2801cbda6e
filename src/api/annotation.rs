//! The annotations that people write and the controller reads.

/// Asks for a look at once; each new value counts once.
pub const RECONCILE_REQUESTED_AT: &str = "crossinvoke.dev/reconcile-requested-at";
/// The same as `flux reconcile` writes it.
pub const FLUX_RECONCILE_REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
/// On one of our CustomResourceDefinitions, with the value `true`: it may be deleted with everything that hangs on it.
pub const CONFIRM_REMOVAL: &str = "crossinvoke.dev/confirm-removal";
/// What a client-side apply keeps of the manifest.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How many characters of a requested-at value count.
const REQUEST_MAX: usize = 64;

/// What asks for a look, as far as it counts; the controller's own annotation comes first.
#[must_use]
pub fn requested(annotations: &std::collections::BTreeMap<String, String>) -> Option<String> {
    let value = annotations.get(RECONCILE_REQUESTED_AT).or_else(|| annotations.get(FLUX_RECONCILE_REQUESTED_AT))?;
    Some(value.chars().take(REQUEST_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_either_annotation_and_cut() {
        let of = |pairs: &[(&str, &str)]| {
            requested(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(of(&[("look", "now")]), None);
        assert_eq!(of(&[(FLUX_RECONCILE_REQUESTED_AT, "a")]).as_deref(), Some("a"));
        assert_eq!(of(&[(FLUX_RECONCILE_REQUESTED_AT, "a"), (RECONCILE_REQUESTED_AT, "b")]).as_deref(), Some("b"));
        assert_eq!(of(&[(RECONCILE_REQUESTED_AT, &"é".repeat(65))]), Some("é".repeat(64)));
    }
}
