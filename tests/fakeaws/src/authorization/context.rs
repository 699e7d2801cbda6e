//! The request context: the condition keys of one request, and which keys it is known not to have.
//!
//! Sources: IAM User Guide, "AWS global condition context keys" and "IAM and AWS STS condition context keys"; which call
//! brings which key: Service Authorization Reference, "Actions, resources, and condition keys" of IAM and STS.

use std::collections::{BTreeMap, BTreeSet};

/// Who asks decides whether the absence of a principal's key can be judged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Asker {
    /// A role, a user or a root.
    #[default]
    Identity,
    /// An AWS service.
    Service,
}

/// The condition keys of a request, in lower case, since key names have no case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    asker: Asker,
    values: BTreeMap<String, Vec<String>>,
    /// Keys, or the beginnings of keys, of which the request is known to have no others than `values` has.
    complete: BTreeSet<&'static str>,
}

const REQUEST_TAG: &str = "aws:requesttag/";
const TAG_KEYS: &str = "aws:tagkeys";
const RESOURCE_TAGS: [&str; 2] = ["aws:resourcetag/", "iam:resourcetag/"];
const RESOURCE_ORGANIZATION: &str = "aws:resourceorgid";

impl Context {
    /// The context of a call that an AWS service makes itself. `aws:PrincipalIsAWSService` is the one key that is
    /// documented for it.
    pub(crate) fn of_service() -> Self {
        let mut context = Self { asker: Asker::Service, ..Self::default() };
        context.set("aws:PrincipalIsAWSService", "true");
        context
    }

    /// Sets a key with one value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// The tags that the request brings: `aws:RequestTag/…` and `aws:TagKeys`. It brings no others.
    pub(crate) fn set_request_tags(&mut self, pairs: &[(&str, &str)]) {
        for (key, value) in pairs {
            self.set(&format!("{REQUEST_TAG}{key}"), *value);
        }
        self.set_tag_keys(pairs.iter().map(|(key, _)| *key));
    }

    /// The tag keys that the request names: `aws:TagKeys`. It brings no other tags.
    pub(crate) fn set_tag_keys<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>) {
        let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        if !keys.is_empty() {
            self.values.insert(TAG_KEYS.to_owned(), keys);
        }
        self.complete.extend([REQUEST_TAG, TAG_KEYS]);
    }

    /// The tags of the resource, in both spellings. It has no others.
    pub(crate) fn set_resource_tags(&mut self, tags: &BTreeMap<String, String>) {
        for family in RESOURCE_TAGS {
            for (key, value) in tags {
                self.set(&format!("{family}{key}"), value.as_str());
            }
        }
        self.complete.extend(RESOURCE_TAGS);
    }

    /// The account that owns the resource, and its organization if it is in one.
    pub(crate) fn set_resource_account(&mut self, account: &str, organization: Option<&str>) {
        self.set("aws:ResourceAccount", account);
        if let Some(organization) = organization {
            self.set("aws:ResourceOrgID", organization);
        }
        self.complete.insert(RESOURCE_ORGANIZATION);
    }

    /// The values of a key in lower case.
    pub(super) fn values(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Whether a modelled key that the request does not have is known to be absent, so that its absence can be judged.
    pub(super) fn is_known_absent(&self, key: &str) -> bool {
        match key {
            // Keys of one parameter of one call. A call without the parameter does not have them.
            "sts:externalid" | "iam:passedtoservice" | "iam:permissionsboundary" | "iam:policyarn" => true,
            // The keys of the principal come with every signed request of a role or user; what a service's own call
            // brings is not documented.
            _ if key.starts_with("aws:principal") => self.asker == Asker::Identity,
            _ => self.complete.iter().any(|family| key.starts_with(family)),
        }
    }
}

/// Whether a key in lower case is one of those that are modelled. Any other is refused even if a request brings it: a key
/// that is judged in one call and refused in the next would make a test's outcome depend on its path.
pub(super) fn is_modelled(key: &str) -> bool {
    let exact = [
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:principalisawsservice",
        "aws:resourceaccount",
        RESOURCE_ORGANIZATION,
        TAG_KEYS,
        "sts:externalid",
        "iam:passedtoservice",
        "iam:permissionsboundary",
        "iam:policyarn",
    ];
    let families = [REQUEST_TAG, RESOURCE_TAGS[0], RESOURCE_TAGS[1], "aws:principaltag/"];
    exact.contains(&key) || families.iter().any(|family| key.strip_prefix(family).is_some_and(|tag| !tag.is_empty()))
}
