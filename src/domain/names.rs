//! The names and tags by which everything we write in AWS is found again, with nothing but the object at hand.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::ids::{InstallationId, ObjectKey, RoleName, RolePath};

/// Tag that carries the installation's id.
pub const INSTALLATION_TAG: &str = "crossinvoke.dev/installation";
/// Tag that carries `<namespace>/<name>` of the owning object. Never the UID: a restored object has a new one.
pub const OWNER_TAG: &str = "crossinvoke.dev/owner";
/// IAM's limit of a role name.
const ROLE_NAME_MAX: usize = 64;
/// Ten characters of base 32: 50 bits, so that a collision within one account's 5,000 roles is out of the question.
const HASH_LENGTH: usize = 10;

/// The first `HASH_LENGTH` characters of a base-32 SHA-256 over the parts. Lower case, since IAM compares role names
/// without regard to case; the parts are length-prefixed, so `a-b`/`c` and `a`/`b-c` differ.
#[must_use]
pub fn short_hash(parts: &[&str]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest.iter().take(HASH_LENGTH).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// The installation's id when none is given: it survives upgrades of the release and differs between clusters,
/// namespaces and releases.
#[must_use]
pub fn default_installation_id(kube_system_uid: &str, release_namespace: &str, release_name: &str) -> InstallationId {
    short_hash(&[kube_system_uid, release_namespace, release_name]).parse().expect("base-32 text is an installation id")
}

/// The invoke role's name when the object gives none: readable first, unique by its hash.
#[must_use]
pub fn default_role_name(installation: &InstallationId, key: &ObjectKey) -> RoleName {
    const PREFIX: &str = "crossinvoke-";
    let hash = short_hash(&[installation.as_str(), &key.namespace, &key.name]);
    let room = ROLE_NAME_MAX - PREFIX.len() - 1 - hash.len();
    let readable: String = format!("{}-{}", key.namespace, key.name).chars().take(room).collect();
    let readable = readable.trim_end_matches(['-', '.']);
    format!("{PREFIX}{readable}-{hash}").parse().expect("Kubernetes names hold only what role names may")
}

/// The path of our roles when the `AwsAccount` imposes none.
#[must_use]
pub fn default_role_path(installation: &InstallationId) -> RolePath {
    format!("/crossinvoke/{installation}/").parse().expect("an installation id fits a path")
}

/// P1's name on the invoke role.
#[must_use]
pub fn invoke_policy(installation: &InstallationId) -> String {
    format!("crossinvoke-{installation}-invoke")
}

/// P2's name on the function's execution role.
#[must_use]
pub fn callback_policy(installation: &InstallationId) -> String {
    format!("crossinvoke-{installation}-callback")
}

/// P3's name on the pipeline's service role.
#[must_use]
pub fn assume_policy(installation: &InstallationId) -> String {
    format!("crossinvoke-{installation}-assume")
}

/// The two tags that make a role ours.
#[must_use]
pub fn ownership_tags(installation: &InstallationId, key: &ObjectKey) -> BTreeMap<String, String> {
    BTreeMap::from([(INSTALLATION_TAG.to_owned(), installation.to_string()), (OWNER_TAG.to_owned(), key.to_string())])
}

/// Whether IAM takes two tag keys for one: it keeps their case and compares without it (IAM User Guide, tagging rules).
#[must_use]
pub fn same_tag_key(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Whether a role that carries these tags belongs to this object of this installation.
#[must_use]
pub fn owned(tags: &BTreeMap<String, String>, installation: &InstallationId, key: &ObjectKey) -> bool {
    ownership_tags(installation, key).iter().all(|(name, value)| tags.get(name) == Some(value))
}

/// Whether the tags name an owner at all, of whatever installation.
#[must_use]
pub fn has_owner(tags: &BTreeMap<String, String>) -> bool {
    tags.contains_key(INSTALLATION_TAG) || tags.contains_key(OWNER_TAG)
}

/// Whether a role carries both of our tags, whatever they say.
#[must_use]
pub fn is_tagged(tags: &BTreeMap<String, String>) -> bool {
    tags.contains_key(INSTALLATION_TAG) && tags.contains_key(OWNER_TAG)
}

/// The tags that make a role this object's, as a person would put them back.
#[must_use]
pub fn tags_to_put_back(installation: &InstallationId, key: &ObjectKey) -> String {
    let tags = ownership_tags(installation, key);
    tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" and ")
}

/// Whose role it is, in words, for the owner of `reader`, who meets a conflict.
#[must_use]
pub fn describe_owner(tags: &BTreeMap<String, String>, installation: &InstallationId, reader: &ObjectKey) -> String {
    match (tags.get(INSTALLATION_TAG), tags.get(OWNER_TAG).and_then(|owner| owner.parse::<ObjectKey>().ok())) {
        (Some(found), Some(owner)) if found == installation.as_str() => {
            format!("it belongs to {}", owner.as_seen_by(reader))
        }
        (Some(found), Some(_)) => format!("it belongs to installation {found} of crossinvoke"),
        _ => format!(
            "it does not carry the tags of crossinvoke. If this object made it, put back the tags {}; if somebody else made it",
            tags_to_put_back(installation, reader)
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn installation() -> InstallationId {
        "abcdefghij".parse().unwrap()
    }

    #[test]
    fn a_hyphen_that_moves_between_namespace_and_name_makes_another_role() {
        let one = default_role_name(&installation(), &key("a-b", "c"));
        let other = default_role_name(&installation(), &key("a", "b-c"));
        assert_ne!(one, other);
        assert!(one.as_str().starts_with("crossinvoke-a-b-c-"), "{one}");
    }

    #[test]
    fn two_installations_never_share_a_role() {
        let other = default_role_name(&"other".parse().unwrap(), &key("a", "b"));
        assert_ne!(default_role_name(&installation(), &key("a", "b")), other);
    }

    #[test]
    fn ownership_needs_both_tags() {
        let mut tags = ownership_tags(&installation(), &key("a", "b"));
        assert!(owned(&tags, &installation(), &key("a", "b")));
        assert!(!owned(&tags, &installation(), &key("a", "c")));
        tags.remove(OWNER_TAG);
        assert!(!owned(&tags, &installation(), &key("a", "b")));
    }

    proptest! {
        #[test]
        fn every_object_gets_a_legal_role_name(namespace in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name in "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?") {
            let role = default_role_name(&installation(), &key(&namespace, &name));
            prop_assert!(role.as_str().len() <= 64);
        }
    }
}
