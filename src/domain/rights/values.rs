//! What a person fills in, checked before anything is rendered: a policy that IAM refuses, or that lets the controller
//! grant rights to itself, is never printed.

use std::collections::BTreeMap;

use super::{Placeholder, ROLE_NAME, Subject, statements::List};
use crate::domain::{
    gate::glob_matches,
    ids::{AccountId, Arn, RolePath},
};

/// The values as they were written. A value may be its own placeholder, which is the same as none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// `--partition`, otherwise `aws`.
    pub partition: Option<String>,
    /// `--account-id`.
    pub account_ids: Vec<String>,
    /// `--controller-arn`.
    pub controller_arn: Option<String>,
    /// `--role-path`, otherwise `/crossinvoke/`.
    pub role_path: Option<String>,
    /// `--boundary-arn`.
    pub boundary_arn: Option<String>,
    /// `--without-boundary`.
    pub without_boundary: bool,
    /// `--pipeline`.
    pub pipelines: Vec<String>,
    /// `--pipeline-role-arn`.
    pub pipeline_role_arns: Vec<String>,
    /// `--cloudformation-role-arn`.
    pub cloudformation_role_arns: Vec<String>,
    /// `--codebuild-role-arn`.
    pub codebuild_role_arns: Vec<String>,
    /// `--connection-arn`.
    pub connection_arns: Vec<String>,
    /// `--function`.
    pub functions: Vec<String>,
    /// `--execution-role-arn`.
    pub execution_role_arns: Vec<String>,
    /// `--bulk-reads`.
    pub bulk_reads: bool,
}

/// The values of one rendering, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Values {
    pub(super) partition: Option<String>,
    pub(super) controller: Option<Arn>,
    pub(super) role_path: Option<RolePath>,
    pub(super) boundary: Boundary,
    pub(super) bulk_reads: bool,
    lists: BTreeMap<List, Vec<String>>,
}

/// The boundary that a dev account demands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Boundary {
    /// This one.
    Named(Arn),
    /// One that is still to be named.
    Missing,
    /// None: roles are created without one.
    Omitted,
}

/// A value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{flag} {value}: {problem}")]
pub struct Unusable {
    /// The option.
    pub flag: &'static str,
    /// Its value; empty for an option without one.
    pub value: String,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// Where an ARN comes from, and what it must agree with.
#[derive(Clone, Copy)]
struct Expected<'a> {
    flag: &'static str,
    partition: Option<&'a str>,
    account: Option<&'a str>,
}

impl Expected<'_> {
    fn unusable(&self, value: &str, problem: impl Into<String>) -> Unusable {
        Unusable { flag: self.flag, value: value.to_owned(), problem: problem.into() }
    }

    /// An ARN of the partition, and of the account where it belongs to one.
    fn arn(&self, value: &str) -> Result<Arn, Unusable> {
        let arn: Arn = value.parse().map_err(|error| self.unusable(value, format!("{error}")))?;
        if let Some(partition) = self.partition.filter(|partition| *partition != arn.partition()) {
            let other = arn.partition();
            let text = format!("is of partition {other}, not of {partition}; add --partition {other} if it is right");
            return Err(self.unusable(value, text));
        }
        let elsewhere = |account: &&str| !["*", "aws", *account].contains(&arn.account());
        if let Some(account) = self.account.filter(elsewhere) {
            let text = format!("is of account {}, but --account-id is {account}", arn.account());
            return Err(self.unusable(value, text));
        }
        Ok(arn)
    }

    /// A role's ARN. A comma is legal in a name, but separates the values of a CloudFormation parameter.
    fn role(&self, value: &str) -> Result<String, Unusable> {
        let arn = self.arn(value)?;
        let name = arn.resource().strip_prefix("role/").filter(|_| arn.service() == "iam" && is_account(&arn, false));
        let fits = |name: &str| !name.is_empty() && is_made_of(name, "+=.@_-/*");
        if !name.is_some_and(fits) {
            let example = "arn:aws:iam::111111111111:role/service-role/payments-*";
            return Err(
                self.unusable(value, format!("must be the ARN of a role, in which * may stand, such as {example}"))
            );
        }
        if glob_matches(arn.resource(), &format!("role/{ROLE_NAME}")) {
            let text = format!(
                "covers role {ROLE_NAME} as well, so the controller could grant itself any right; name a narrower path or prefix"
            );
            return Err(self.unusable(value, text));
        }
        Ok(value.to_owned())
    }

    /// Both names of a connection: the service was renamed, and a pipeline may hold either.
    fn connection(&self, value: &str) -> Result<[String; 2], Unusable> {
        const NAMES: [&str; 2] = ["codeconnections", "codestar-connections"];
        let arn = self.arn(value)?;
        let is_connection = arn.resource().strip_prefix("connection/").is_some_and(|id| is_made_of(id, "-*"));
        if !is_connection || !NAMES.contains(&arn.service()) || !is_account(&arn, false) {
            let example =
                "arn:aws:codeconnections:us-east-1:111111111111:connection/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
            return Err(self.unusable(value, format!("must be the ARN of a connection, such as {example}")));
        }
        let (partition, region, account, resource) = (arn.partition(), arn.region(), arn.account(), arn.resource());
        Ok(NAMES.map(|name| format!("arn:{partition}:{name}:{region}:{account}:{resource}")))
    }

    fn boundary(&self, value: &str) -> Result<Arn, Unusable> {
        let arn = self.arn(value)?;
        let named = arn.resource().strip_prefix("policy/").filter(|_| arn.service() == "iam" && is_account(&arn, true));
        let fits = |name: &str| !name.is_empty() && is_made_of(name, "+=,.@_-/");
        if !named.is_some_and(fits) || arn.account() == "*" {
            let example = "arn:aws:iam::222222222222:policy/crossinvoke-boundary";
            return Err(self.unusable(value, format!("must be the ARN of one managed policy, such as {example}")));
        }
        Ok(arn)
    }

    fn controller(&self, value: &str) -> Result<Arn, Unusable> {
        let arn = Expected { account: None, ..*self }.arn(value)?;
        let identity = ["role/", "user/"].iter().find_map(|kind| arn.resource().strip_prefix(kind));
        let fits = |name: &str| !name.is_empty() && is_made_of(name, "+=,.@_-/");
        let fits = identity.is_some_and(fits) && arn.service() == "iam" && is_account(&arn, false);
        if !fits || arn.account() == "*" {
            let example = "arn:aws:iam::333333333333:role/crossinvoke-controller";
            return Err(self.unusable(value, format!("must be the ARN of one role or user, such as {example}")));
        }
        Ok(arn)
    }

    /// A name in which `*` may stand.
    fn name(&self, value: &str, longest: usize, extra: &str, example: &str) -> Result<String, Unusable> {
        if value.is_empty() || value.len() > longest || !is_made_of(value, extra) {
            let text =
                format!("must be a name of at most {longest} characters, in which * may stand, such as {example}");
            return Err(self.unusable(value, text));
        }
        Ok(value.to_owned())
    }
}

fn is_made_of(text: &str, extra: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

/// Whether an ARN names an account: twelve digits or `*`, or `aws` where AWS's own are meant.
fn is_account(arn: &Arn, or_aws: bool) -> bool {
    let account = arn.account();
    account == "*" || (or_aws && account == "aws") || account.parse::<AccountId>().is_ok()
}

impl Values {
    /// Checks what was given for a subject.
    ///
    /// # Errors
    /// For the first value that cannot be used, or that this subject has no place for.
    pub fn new(subject: Subject, given: &Given) -> Result<Self, Unusable> {
        out_of_place(subject, given)?;
        let accounts = account_ids(subject, &given.account_ids)?;
        let partition = partition(given.partition.as_deref())?;
        let expected = |flag: &'static str| Expected {
            flag,
            partition: partition.as_deref(),
            account: accounts.first().map(String::as_str).filter(|_| subject != Subject::Controller),
        };
        let mut lists = BTreeMap::from([(List::Accounts, accounts.clone())]);
        let names = [
            (List::Pipelines, &given.pipelines, "--pipeline", 100, ".@-_*", "payments-release"),
            (List::Functions, &given.functions, "--function", 64, "-_*", "payments-validate"),
        ];
        for (list, values, flag, longest, extra, example) in names {
            let values = stated(list, values).map(|value| expected(flag).name(value, longest, extra, example));
            lists.insert(list, sorted(values.collect::<Result<_, _>>()?));
        }
        let roles = [
            (List::PipelineRoles, &given.pipeline_role_arns, "--pipeline-role-arn"),
            (List::CloudFormationRoles, &given.cloudformation_role_arns, "--cloudformation-role-arn"),
            (List::CodeBuildRoles, &given.codebuild_role_arns, "--codebuild-role-arn"),
            (List::ExecutionRoles, &given.execution_role_arns, "--execution-role-arn"),
        ];
        for (list, values, flag) in roles {
            let values = stated(list, values).map(|value| expected(flag).role(value));
            lists.insert(list, sorted(values.collect::<Result<_, _>>()?));
        }
        let connections = stated(List::Connections, &given.connection_arns);
        let connections = connections.map(|value| expected("--connection-arn").connection(value));
        let connections = connections.collect::<Result<Vec<_>, _>>()?;
        lists.insert(List::Connections, sorted(connections.concat()));
        let placeholder = Placeholder::BoundaryArn.to_string();
        let boundary = match given.boundary_arn.as_deref().filter(|arn| *arn != placeholder) {
            _ if given.without_boundary => Boundary::Omitted,
            None => Boundary::Missing,
            Some(arn) => Boundary::Named(expected("--boundary-arn").boundary(arn)?),
        };
        let controller = given.controller_arn.as_deref().map(|arn| expected("--controller-arn").controller(arn));
        let role_path = role_path(given.role_path.as_deref())?;
        Ok(Self {
            controller: controller.transpose()?,
            role_path,
            boundary,
            bulk_reads: given.bulk_reads,
            lists,
            partition,
        })
    }

    /// What was given of a list; empty when nothing was.
    pub(super) fn of(&self, list: List) -> &[String] {
        self.lists.get(&list).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether invoke roles get rights only under a boundary.
    #[must_use]
    pub fn demands_boundary(&self) -> bool {
        self.boundary != Boundary::Omitted
    }
}

/// The values of a list that are not its own placeholder.
fn stated(list: List, values: &[String]) -> impl Iterator<Item = &str> {
    let is_placeholder = move |value: &&str| list.placeholders().iter().any(|it| it.to_string() == **value);
    values.iter().map(String::as_str).filter(move |value| !is_placeholder(value))
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort_unstable();
    values.dedup();
    values
}

fn account_ids(subject: Subject, given: &[String]) -> Result<Vec<String>, Unusable> {
    let flag = "--account-id";
    let mut ids = Vec::new();
    for value in stated(List::Accounts, given) {
        let id: AccountId =
            value.parse().map_err(|error| Unusable { flag, value: value.to_owned(), problem: format!("{error}") })?;
        ids.push(id.to_string());
    }
    let ids = sorted(ids);
    match ids.as_slice() {
        [_, second, ..] if subject != Subject::Controller => Err(Unusable {
            flag,
            value: second.clone(),
            problem: format!("a policy for {} is of one account; only --for controller takes several", subject.name()),
        }),
        _ => Ok(ids),
    }
}

fn partition(given: Option<&str>) -> Result<Option<String>, Unusable> {
    let partition = given.unwrap_or("aws");
    if partition == Placeholder::Partition.to_string() {
        return Ok(None);
    }
    let rest = partition.strip_prefix("aws").map(|rest| rest.split('-').collect::<Vec<_>>());
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if rest.is_some_and(|words| words[0].is_empty() && words[1..].iter().all(is_word)) {
        return Ok(Some(partition.to_owned()));
    }
    let problem = "must be an AWS partition, such as aws, aws-cn or aws-us-gov".to_owned();
    Err(Unusable { flag: "--partition", value: partition.to_owned(), problem })
}

/// A path of their own for the roles that the controller creates. Under `/` every role of the account would be one of
/// them, and the controller could change whom any of them trusts.
fn role_path(given: Option<&str>) -> Result<Option<RolePath>, Unusable> {
    let path = given.unwrap_or("/crossinvoke/");
    if path == Placeholder::RolePath.to_string() {
        return Ok(None);
    }
    let unusable = |problem: String| Unusable { flag: "--role-path", value: path.to_owned(), problem };
    let parsed: RolePath = path.parse().map_err(|error| unusable(format!("{error}")))?;
    if path == "/" || path.contains(['*', '?', '$']) {
        let text = "must be a path that only the controller's roles have, such as /crossinvoke/; under any wider one it could \
                    change whom other roles trust";
        return Err(unusable(text.to_owned()));
    }
    Ok(Some(parsed))
}

/// Refuses a value that would end up nowhere.
fn out_of_place(subject: Subject, given: &Given) -> Result<(), Unusable> {
    use Subject::{Boundary, Dev, Tools};
    let first = |values: &[String]| values.first().cloned();
    let flag = |is_given: bool| is_given.then(String::new);
    let places: [(&'static str, Option<String>, &[Subject]); 12] = [
        ("--controller-arn", given.controller_arn.clone(), &[Tools, Dev]),
        ("--role-path", given.role_path.clone(), &[Dev]),
        ("--boundary-arn", given.boundary_arn.clone(), &[Dev]),
        ("--without-boundary", flag(given.without_boundary), &[Dev]),
        ("--pipeline", first(&given.pipelines), &[Tools]),
        ("--pipeline-role-arn", first(&given.pipeline_role_arns), &[Tools]),
        ("--cloudformation-role-arn", first(&given.cloudformation_role_arns), &[Tools]),
        ("--codebuild-role-arn", first(&given.codebuild_role_arns), &[Tools]),
        ("--connection-arn", first(&given.connection_arns), &[Tools]),
        ("--function", first(&given.functions), &[Dev, Boundary]),
        ("--execution-role-arn", first(&given.execution_role_arns), &[Dev]),
        ("--bulk-reads", flag(given.bulk_reads), &[Tools, Dev]),
    ];
    let misplaced = places.into_iter().find_map(|(flag, value, subjects)| {
        let (value, allowed) = (value?, subjects.iter().map(|subject| subject.name()).collect::<Vec<_>>());
        let problem = format!("does not apply to --for {}, only to {}", subject.name(), allowed.join(" and "));
        (!subjects.contains(&subject)).then_some(Unusable { flag, value, problem })
    });
    misplaced.map_or(Ok(()), Err)
}
