//! Validated identifiers of AWS and of this installation: checked once at the edge, then carried as types.
//!
//! Bounds are AWS's own (IAM and CodePipeline service models); each type's message says what is allowed and gives an
//! example, because it reaches the person who wrote the value.

use std::{fmt, str::FromStr, sync::Arc};

/// A value that is not what its type allows. The text names the type, the rule and an example.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{value:?} is not {what}: {rule}, for example {example}")]
pub struct InvalidId {
    /// The refused value.
    pub value: String,
    /// What it should have been, with its article.
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// A value that would be taken.
    pub example: &'static str,
}

/// Declares a string newtype with `FromStr`, `Display`, `AsRef<str>` and `TryFrom<&str>`.
macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $example:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of the identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(value: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(value) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidId { value: value.to_owned(), what: $what, rule: $rule, example: $example })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn chars(value: &str, length: std::ops::RangeInclusive<usize>, extra: &str) -> bool {
    length.contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

string_id!(
    /// A twelve-digit AWS account id; leading zeros count, so it is never a number.
    AccountId, "an AWS account id", "twelve digits", "111111111111",
    |v| v.len() == 12 && v.bytes().all(|b| b.is_ascii_digit())
);
string_id!(
    /// An AWS region code.
    Region, "an AWS region", "lower-case letters, digits and hyphens", "eu-west-1",
    |v| chars(v, 1..=32, "-") && v.contains('-') && !v.bytes().any(|b| b.is_ascii_uppercase())
);
string_id!(
    /// An IAM role name (1–64 characters), without its path.
    RoleName, "an IAM role name", "1 to 64 of A-Z a-z 0-9 + = , . @ _ -", "validate-invoke",
    |v| chars(v, 1..=64, "+=,.@_-")
);
string_id!(
    /// The path of an IAM role: begins and ends with a slash, at most 512 characters.
    RolePath, "an IAM path", "it begins and ends with a slash, at most 512 characters", "/crossinvoke/",
    |v| v == "/" || (v.len() <= 512 && v.len() > 2 && v.starts_with('/') && v.ends_with('/')
        && v.bytes().all(|b| (0x21..=0x7e).contains(&b)) && !v.contains("//"))
);
string_id!(
    /// A pipeline's name (1–100 characters).
    PipelineName, "a pipeline name", "1 to 100 of A-Z a-z 0-9 . @ - _", "payments-release",
    |v| chars(v, 1..=100, ".@-_")
);
string_id!(
    /// A stage's name (1–100 characters), unique in its pipeline.
    StageName, "a stage name", "1 to 100 of A-Z a-z 0-9 . @ - _", "Validate",
    |v| chars(v, 1..=100, ".@-_")
);
string_id!(
    /// An action's name (1–100 characters), unique in its stage.
    ActionName, "an action name", "1 to 100 of A-Z a-z 0-9 . @ - _", "RunValidation",
    |v| chars(v, 1..=100, ".@-_")
);
string_id!(
    /// A Lambda function's plain name: no ARN, alias or version.
    FunctionName, "a Lambda function name", "1 to 64 of A-Z a-z 0-9 - _, no ARN and no alias", "payments-validate",
    |v| chars(v, 1..=64, "-_")
);
string_id!(
    /// What tells one release of the controller from another; it is part of every policy name and tag it writes.
    InstallationId, "an installation id", "1 to 20 lower-case letters, digits and hyphens", "k3v9q2m7xa",
    |v| chars(v, 1..=20, "-") && !v.bytes().any(|b| b.is_ascii_uppercase())
);

/// A role as IAM addresses it. Names are unique in an account over all paths and without regard to case (IAM User Guide,
/// IAM identifiers), so ARNs that differ in the path are one role: workers and shared policies keyed by them would be two.
#[derive(Clone, Debug)]
pub struct RoleId {
    /// The account.
    pub account: AccountId,
    /// The name as it was read.
    pub name: RoleName,
}

impl RoleId {
    /// The role as it is found in lists of what is worked on, where [`Display`](fmt::Display) is for sentences.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}/{}", self.account, self.name)
    }

    /// What is compared, without a copy: roles are looked up in every look.
    fn letters(&self) -> impl Iterator<Item = u8> {
        self.name.as_str().bytes().map(|letter| letter.to_ascii_lowercase())
    }
}

impl PartialEq for RoleId {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account && self.name.as_str().eq_ignore_ascii_case(other.name.as_str())
    }
}

impl Eq for RoleId {}

impl PartialOrd for RoleId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoleId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.account.cmp(&other.account).then_with(|| self.letters().cmp(other.letters()))
    }
}

impl std::hash::Hash for RoleId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.account.hash(state);
        self.letters().for_each(|letter| state.write_u8(letter));
        state.write_u8(0xff);
    }
}

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {} in account {}", self.name, self.account)
    }
}

/// Where a pipeline is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PipelineKey {
    /// The tools account.
    pub account: AccountId,
    /// The pipeline's region.
    pub region: Region,
    /// The pipeline.
    pub name: PipelineName,
}

impl fmt::Display for PipelineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account, self.region, self.name)
    }
}

/// A parsed ARN. `region` is empty for IAM, as on the wire.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Arn {
    text: Arc<str>,
    /// End offsets of `arn:partition`, `…:service`, `…:region`, `…:account`; they index `text`.
    ends: [u16; 4],
}

impl Arn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn end(&self, part: usize) -> usize {
        usize::from(self.ends[part])
    }

    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, …
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.text[4..self.end(0)]
    }

    /// The service: `iam`, `lambda`, `codepipeline`, …
    #[must_use]
    pub fn service(&self) -> &str {
        &self.text[self.end(0) + 1..self.end(1)]
    }

    /// The region; empty for global services.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.text[self.end(1) + 1..self.end(2)]
    }

    /// The account id as it stands in the ARN.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.text[self.end(2) + 1..self.end(3)]
    }

    /// Everything after the account, for example `role/service-role/Release`.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.text[self.end(3) + 1..]
    }

    /// The role's name when this is a role's ARN: what follows the last slash of `role/…`.
    #[must_use]
    pub fn role_name(&self) -> Option<RoleName> {
        self.end_of_role()?.parse().ok()
    }

    fn end_of_role(&self) -> Option<&str> {
        let path_and_name = self.resource().strip_prefix("role/").filter(|_| self.service() == "iam")?;
        path_and_name.rsplit('/').next()
    }

    /// Whether this is the ARN of that role, at whatever path.
    #[must_use]
    pub fn is_of(&self, role: &RoleId) -> bool {
        self.account() == role.account.as_str()
            && self.end_of_role().is_some_and(|name| name.eq_ignore_ascii_case(role.name.as_str()))
    }

    /// The role, when this is a role's ARN.
    #[must_use]
    pub fn role(&self) -> Option<RoleId> {
        Some(RoleId { account: self.account().parse().ok()?, name: self.role_name()? })
    }

    /// The ARN of a role whose parts are known: only for a role that we make ourselves at that path. The ARN of anybody
    /// else's role is read from AWS, since its path is not in its name.
    #[must_use]
    pub fn of_own_role(partition: &str, account: &AccountId, path: &RolePath, name: &RoleName) -> Self {
        format!("arn:{partition}:iam::{account}:role{path}{name}").parse().expect("made of valid parts")
    }

    /// The ARN of a pipeline, all of whose parts are in its name.
    #[must_use]
    pub fn of_pipeline(partition: &str, region: &Region, account: &AccountId, name: &PipelineName) -> Self {
        format!("arn:{partition}:codepipeline:{region}:{account}:{name}").parse().expect("made of valid parts")
    }
}

impl FromStr for Arn {
    type Err = InvalidId;

    fn from_str(value: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            value: value.to_owned(),
            what: "an ARN",
            rule: "arn:partition:service:region:account:resource",
            example: "arn:aws:iam::111111111111:role/service-role/Release",
        };
        let mut ends = [0_usize; 4];
        let mut from = value.strip_prefix("arn:").map(|_| 4).ok_or_else(invalid)?;
        for end in &mut ends {
            *end = from + value[from..].find(':').ok_or_else(invalid)?;
            from = *end + 1;
        }
        let printable = value.bytes().all(|b| (0x21..=0x7e).contains(&b));
        if !(printable && value.len() <= 2048 && ends[0] > 4 && ends[1] > ends[0] + 1 && value.len() > ends[3] + 1) {
            return Err(invalid());
        }
        let [partition, service, region, account] = ends.map(u16::try_from);
        match (partition, service, region, account) {
            (Ok(partition), Ok(service), Ok(region), Ok(account)) => {
                Ok(Self { text: value.into(), ends: [partition, service, region, account] })
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The namespace and name of a `CrossAccountInvoke`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// This object in a message for `reader`: nobody learns what is in somebody else's namespace.
    #[must_use]
    pub fn as_seen_by(&self, reader: &Self) -> String {
        if self.namespace == reader.namespace {
            format!("CrossAccountInvoke {self}")
        } else {
            "a CrossAccountInvoke of another namespace".to_owned()
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidId;

    fn from_str(value: &str) -> Result<Self, InvalidId> {
        match value.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidId {
                value: value.to_owned(),
                what: "the key of an object",
                rule: "namespace and name with a slash between them",
                example: "payments/validate",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_taken_apart_with_its_path_and_partition() {
        let arn: Arn = "arn:aws-cn:iam::111111111111:role/service-role/Release".parse().unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws-cn", "iam", "", "111111111111", "role/service-role/Release")
        );
        assert_eq!(arn.role_name().unwrap().as_str(), "Release");
        let function: Arn = "arn:aws:lambda:us-east-1:222222222222:function:f".parse().unwrap();
        assert_eq!((function.region(), function.resource()), ("us-east-1", "function:f"));
        assert_eq!(function.role_name(), None);
        for other in [
            "arn:aws:iam::111111111111:role/release",
            "arn:aws:iam::111111111111:role/service-role/Other",
            "arn:aws:iam::222222222222:role/Release",
            "arn:aws:iam::111111111111:user/Release",
        ] {
            let (role, other) = (arn.role().unwrap(), other.parse::<Arn>().unwrap());
            assert_eq!(other.is_of(&role), other.role().as_ref() == Some(&role), "{other}");
        }
    }

    #[test]
    fn arns_of_one_role_under_two_paths_are_one_role() {
        let id = |arn: &str| arn.parse::<Arn>().unwrap().role();
        let role = id("arn:aws:iam::111111111111:role/service-role/Release");
        assert!(role.is_some());
        assert_eq!(id("arn:aws:iam::111111111111:role/x/release"), role);
        assert_ne!(id("arn:aws:iam::222222222222:role/service-role/Release"), role);
        assert_eq!(id("arn:aws:iam::111111111111:user/Release"), None);
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for bad in [
            "",
            "arn",
            "arn:aws",
            "arn:aws:iam::1",
            "arn::iam::1:x",
            "arn:aws:iam::1:",
            "AROAEXAMPLE",
            "arn:aws:iam::1:é",
        ] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_keep_to_the_bounds_of_aws() {
        assert!("012345678901".parse::<AccountId>().is_ok());
        assert!("12345678901".parse::<AccountId>().is_err());
        assert!("a".repeat(64).parse::<RoleName>().is_ok());
        assert!("a".repeat(65).parse::<RoleName>().is_err());
        for (path, valid) in
            [("/", true), ("/a/", true), ("/a/b/", true), ("a/", false), ("/a", false), ("//", false), ("", false)]
        {
            assert_eq!(path.parse::<RolePath>().is_ok(), valid, "{path}");
        }
        assert!("f:alias".parse::<FunctionName>().is_err());
        assert_eq!(
            "x".parse::<AccountId>().unwrap_err().to_string(),
            "\"x\" is not an AWS account id: twelve digits, for example 111111111111"
        );
    }
}
