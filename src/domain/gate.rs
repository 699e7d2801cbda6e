//! The gate to the accounts: who may ask for what. A grant of *both* accounts must cover the object, and what is not
//! allowed is refused by naming the part that is missing.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::{
    ids::{AccountId, Arn, InstallationId, Region, RolePath},
    names,
    plan::Blocker,
    same_account,
    spec::{Access, Declared, Granted, Trust},
};
use crate::api::{Allowance, AwsAccountSpec, Grant, Reason};

/// An `AwsAccount` as far as the gate is concerned.
#[derive(Clone, Debug)]
pub struct Account {
    /// The object's name.
    pub name: String,
    /// Its account id.
    pub id: String,
    /// Its spec, or why it cannot be read.
    pub spec: Result<AwsAccountSpec, String>,
    /// Whether it is being deleted: it opens nothing new then.
    pub deleting: bool,
    /// Whether it carries this installation's in-use finalizer, without which it could go while something exists.
    pub held: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// The one `AwsAccount` of an id.
#[derive(Clone, Copy)]
struct Sole<'a> {
    name: &'a str,
    spec: &'a AwsAccountSpec,
    deleting: bool,
    held: bool,
}

/// What the gate looks at.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// All `AwsAccount`s whose account id can be read.
    pub accounts: Arc<[Account]>,
    /// Labels of the object's namespace; `None` while they are not known, which no selector matches.
    pub namespace_labels: Option<BTreeMap<String, String>>,
}

/// Opens both accounts for an object, or says what is missing. One that is being deleted and is held opens what is in
/// place there, to be kept so.
///
/// # Errors
/// `NotGranted`, `DuplicateAccount`, `InvalidSpec` where an account cannot be read; `Progressing` while an account is not held
/// by this installation yet.
pub fn gate(declared: &Declared, input: &Input, installation: &InstallationId) -> Result<Granted, Blocker> {
    let (tools, dev) = grants(declared, input)?;
    one_partition(declared, tools, dev)?;
    let mut closing = None;
    for account in [tools, dev] {
        if account.deleting {
            let said = format!(
                "AwsAccount {} (account {}) is being deleted and opens nothing new",
                account.name, account.spec.account_id
            );
            // Without our finalizer it may be gone before what would be corrected.
            if !account.held {
                return Err(not_granted(said));
            }
            closing.get_or_insert(said);
        } else if !account.held {
            return Err(Blocker {
                reason: Reason::Progressing,
                message: format!(
                    "AwsAccount {} does not carry this installation's finalizer yet; the controller is about to add it",
                    account.name
                ),
            });
        }
    }
    let roles = dev.spec.invoke_roles.as_ref();
    let boundary = roles.and_then(|roles| roles.permissions_boundary_arn.as_ref());
    let boundary: Option<Arn> =
        boundary.map(|arn| parse(dev, "spec.invokeRoles.permissionsBoundaryARN", arn)).transpose()?;
    Ok(Granted {
        tools: access(tools)?,
        dev: access(dev)?,
        role_path: path_of(dev, installation)?,
        boundary,
        allowed_tag_keys: roles.map(|roles| roles.allowed_tag_keys.clone()).unwrap_or_default(),
        imposed_tags: roles.map(|roles| roles.tags.clone()).unwrap_or_default(),
        tolerated_policies: roles.map(|roles| roles.tolerated_policies.clone()).unwrap_or_default(),
        today: true,
        closing,
    })
}

/// No role can be assumed across partitions, so all that is named for one object has to lie in one.
fn one_partition(declared: &Declared, tools: Sole<'_>, dev: Sole<'_>) -> Result<(), Blocker> {
    let of_account = |account: Sole<'_>, field: &str, arn: Option<&String>| {
        let arn: Option<Arn> = arn.and_then(|arn| arn.parse().ok());
        arn.map(|arn| (format!("{field} of AwsAccount {}", account.name), arn.partition().to_owned()))
    };
    let roles = dev.spec.invoke_roles.as_ref();
    let boundary = roles.and_then(|roles| roles.permissions_boundary_arn.as_ref());
    let execution_role = declared.execution_role.as_ref();
    let named = [
        of_account(tools, "spec.roleARN", tools.spec.role_arn.as_ref()),
        of_account(dev, "spec.roleARN", dev.spec.role_arn.as_ref()),
        of_account(dev, "spec.invokeRoles.permissionsBoundaryARN", boundary),
        execution_role.map(|arn| ("spec.function.executionRole".to_owned(), arn.partition().to_owned())),
    ];
    let mut named = named.into_iter().flatten();
    let Some((first, partition)) = named.next() else { return Ok(()) };
    let Some((other, another)) = named.find(|(_, another)| *another != partition) else { return Ok(()) };
    Err(Blocker {
        reason: Reason::InvalidSpec,
        message: format!(
            "{first} is in partition {partition} and {other} in {another}, and no role can be assumed across partitions: \
             name two accounts, and ARNs, of one partition"
        ),
    })
}

/// Whether both accounts grant the object what it asks for, be they on their way out or not.
#[must_use]
pub fn is_granted(declared: &Declared, input: &Input) -> bool {
    grants(declared, input).is_ok()
}

fn grants<'a>(declared: &Declared, input: &'a Input) -> Result<(Sole<'a>, Sole<'a>), Blocker> {
    let tools = sole(input, &declared.tools.account, "tools")?;
    let dev = sole(input, &declared.dev.account, "dev")?;
    tools_grant(declared, input, tools)?;
    dev_grant(declared, input, dev)?;
    Ok((tools, dev))
}

/// The way into both accounts for removal, which goes on when a grant is revoked.
///
/// # Errors
/// There is no `AwsAccount` of that id any more, or there are two.
pub fn access_for_removal(
    declared: &Declared,
    input: &Input,
    installation: &InstallationId,
) -> Result<Granted, Blocker> {
    let lost = |blocker: Blocker| match blocker.reason {
        Reason::NotGranted => Blocker {
            message: format!(
                "{}. Without it what exists there cannot be removed: restore the AwsAccount, or remove that by hand and then this object's finalizer",
                blocker.message
            ),
            ..blocker
        },
        _ => blocker,
    };
    let tools = sole(input, &declared.tools.account, "tools").map_err(lost)?;
    let dev = sole(input, &declared.dev.account, "dev").map_err(lost)?;
    Ok(Granted {
        tools: access(tools)?,
        dev: access(dev)?,
        role_path: path_of(dev, installation)?,
        boundary: None,
        allowed_tag_keys: Vec::new(),
        imposed_tags: BTreeMap::new(),
        tolerated_policies: Vec::new(),
        today: is_granted(declared, input),
        closing: None,
    })
}

/// The way into one account, whoever asks: for reading what nobody of this installation explains.
///
/// # Errors
/// There is no `AwsAccount` of that id, or there are two, or its values cannot be used.
pub fn way_into(input: &Input, id: &AccountId) -> Result<Access, Blocker> {
    access(sole(input, id, "dev")?)
}

/// The path of roles in an account, or the default when it is not (or not only once) declared.
#[must_use]
pub fn role_path(input: &Input, installation: &InstallationId, account: &AccountId) -> RolePath {
    let declared = sole(input, account, "dev").ok();
    declared
        .and_then(|account| path_of(account, installation).ok())
        .unwrap_or_else(|| names::default_role_path(installation))
}

/// Whether any grant of the account covers the namespace: only then is the account this installation's business.
#[must_use]
pub fn grants_anything(spec: &AwsAccountSpec, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    spec.grants.iter().any(|grant| covers_namespace(grant, namespace, labels))
}

fn sole<'a>(input: &'a Input, id: &AccountId, role: &str) -> Result<Sole<'a>, Blocker> {
    match same_account::counting(&input.accounts, id.as_str()).as_slice() {
        [account] => match &account.spec {
            Ok(spec) => Ok(Sole { name: &account.name, spec, deleting: account.deleting, held: account.held }),
            Err(why) => Err(unreadable(&account.name, id, why)),
        },
        [] => Err(not_granted(format!(
            "no AwsAccount has accountID {id}, the {role} account; ask the platform team to create one that grants this namespace"
        ))),
        several => Err(same_account::duplicate(several, id.as_str())),
    }
}

/// What it grants is not known, so it opens nothing; what is in place stays.
fn unreadable(name: &str, id: &AccountId, why: &str) -> Blocker {
    Blocker {
        reason: Reason::InvalidSpec,
        message: format!(
            "AwsAccount {name} (account {id}) cannot be read by this version of the controller: {why}; what is in place stays. \
             Ask the platform team to correct it, or to run a version that reads it"
        ),
    }
}

fn tools_grant(declared: &Declared, input: &Input, account: Sole<'_>) -> Result<(), Blocker> {
    let grants = of_namespace(declared, input, account)?;
    let pipeline = declared.pipeline.as_str();
    let of_pipeline: Vec<&Grant> =
        grants.iter().copied().filter(|grant| matches_any(&grant.pipelines, pipeline)).collect();
    if of_pipeline.is_empty() {
        let have = grants.iter().flat_map(|grant| &grant.pipelines);
        return Err(missing(account, declared, &grants, "pipelines", pipeline, have));
    }
    in_region(account, declared, of_pipeline, &declared.tools.region).map(drop)
}

/// Those of the grants that open a region.
fn in_region<'a>(
    account: Sole<'_>,
    declared: &Declared,
    grants: Vec<&'a Grant>,
    region: &Region,
) -> Result<Vec<&'a Grant>, Blocker> {
    // An empty list, which admission refuses, opens nothing.
    let opens =
        |grant: &&Grant| grant.regions.as_ref().is_none_or(|regions| regions.iter().any(|of| of == region.as_str()));
    let (opening, others): (Vec<_>, Vec<_>) = grants.into_iter().partition(opens);
    if opening.is_empty() {
        let have = others.iter().flat_map(|grant| grant.regions.iter().flatten());
        return Err(missing(account, declared, &others, "regions", region.as_str(), have));
    }
    Ok(opening)
}

fn dev_grant(declared: &Declared, input: &Input, account: Sole<'_>) -> Result<(), Blocker> {
    let grants = of_namespace(declared, input, account)?;
    let function = declared.function.as_str();
    let of_function: Vec<&Grant> =
        grants.iter().copied().filter(|grant| matches_any(&grant.functions, function)).collect();
    if of_function.is_empty() {
        let have = grants.iter().flat_map(|grant| &grant.functions);
        return Err(missing(account, declared, &grants, "functions", function, have));
    }
    let of_function = in_region(account, declared, of_function, &declared.dev.region)?;
    let caller = declared.tools.account.as_str();
    let of_caller: Vec<&Grant> =
        of_function.iter().copied().filter(|grant| grant.callers.iter().any(|id| id == caller)).collect();
    if of_caller.is_empty() {
        let have = of_function.iter().flat_map(|grant| &grant.callers);
        return Err(missing(account, declared, &of_function, "callers", caller, have));
    }
    for allowance in needed(declared, account) {
        let allowance = allowance?;
        if !of_caller.iter().any(|grant| grant.allow.contains(&allowance)) {
            return Err(not_allowed(account, &of_caller, allowance));
        }
    }
    Ok(())
}

/// What the object asks for beyond the ordinary, and tags outside the allowed keys as a refusal.
fn needed<'a>(declared: &'a Declared, account: Sole<'a>) -> impl Iterator<Item = Result<Allowance, Blocker>> + 'a {
    let root = (declared.trust == Trust::AccountRoot).then_some(Ok(Allowance::AccountRootTrust));
    let named = declared.role_is_named.then_some(Ok(Allowance::NamedRole));
    let roles = account.spec.invoke_roles.as_ref();
    let allowed = roles.map(|roles| roles.allowed_tag_keys.as_slice()).unwrap_or_default();
    let imposed = declared.tags.keys().find_map(|key| {
        let own = roles?.tags.keys().find(|own| names::same_tag_key(own, key))?;
        Some(Err(not_granted(format!(
            "spec.invokeRole.tags has key {key}, but spec.invokeRoles.tags of AwsAccount {} sets {own} on every role; \
             remove the tag",
            account.name
        ))))
    });
    let is_allowed = |key: &&String| allowed.iter().any(|allowed| names::same_tag_key(allowed, key));
    let stray = declared.tags.keys().find(|key| !is_allowed(key)).map(|key| {
        Err(not_granted(format!(
            "spec.invokeRole.tags has key {key}, which spec.invokeRoles.allowedTagKeys of AwsAccount {} does not list; \
             ask the platform team to add it, or remove the tag",
            account.name
        )))
    });
    imposed.or(stray).into_iter().chain(root).chain(named)
}

fn of_namespace<'a>(declared: &Declared, input: &Input, account: Sole<'a>) -> Result<Vec<&'a Grant>, Blocker> {
    let namespace = &declared.key.namespace;
    let grants: Vec<&Grant> = account
        .spec
        .grants
        .iter()
        .filter(|grant| covers_namespace(grant, namespace, input.namespace_labels.as_ref()))
        .collect();
    if grants.is_empty() {
        return Err(not_granted(format!(
            "no grant of AwsAccount {} (account {}) covers namespace {namespace}; ask the platform team to add it to a grant's namespaces",
            account.name, account.spec.account_id
        )));
    }
    Ok(grants)
}

fn covers_namespace(grant: &Grant, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    let by_name = grant.namespaces.names.iter().any(|name| name == namespace);
    // Unknown labels are not no labels: those would satisfy `NotIn` and `DoesNotExist`.
    let by_labels =
        || labels.zip(grant.namespaces.selector.as_ref()).is_some_and(|(labels, selector)| selects(selector, labels));
    by_name || by_labels()
}

/// An empty selector selects everything in Kubernetes; here it selects nothing, since nobody may mean that.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let empty = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    !empty && Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

fn matches_any(globs: &[String], name: &str) -> bool {
    globs.iter().any(|glob| glob_matches(glob, name))
}

/// `*` stands for any characters, none among them; everything else for itself.
#[must_use]
pub fn glob_matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

fn missing<'a>(
    account: Sole<'_>,
    declared: &Declared,
    grants: &[&Grant],
    list: &str,
    value: &str,
    have: impl Iterator<Item = &'a String>,
) -> Blocker {
    let have: Vec<&str> = have.map(String::as_str).collect();
    let have = if have.is_empty() { "nothing".to_owned() } else { have.join(", ") };
    not_granted(format!(
        "AwsAccount {} (account {}) does not grant {value} to namespace {}: {list} of grant {} lists {have}; ask the platform team to add {value}",
        account.name,
        account.spec.account_id,
        declared.key.namespace,
        grant_names(grants)
    ))
}

fn not_allowed(account: Sole<'_>, grants: &[&Grant], allowance: Allowance) -> Blocker {
    let (what, field) = match allowance {
        Allowance::AccountRootTrust => ("AccountRootTrust", "spec.invokeRole.trust: AccountRoot"),
        Allowance::NamedRole => ("NamedRole", "spec.invokeRole.name"),
    };
    not_granted(format!(
        "{field} needs {what} in allow of grant {} of AwsAccount {} (account {}); ask the platform team to add it, or leave the field out",
        grant_names(grants),
        account.name,
        account.spec.account_id
    ))
}

fn grant_names(grants: &[&Grant]) -> String {
    grants.iter().map(|grant| grant.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The blocker that a missing grant is.
#[must_use]
pub fn not_granted(message: String) -> Blocker {
    Blocker { reason: Reason::NotGranted, message }
}

fn access(account: Sole<'_>) -> Result<Access, Blocker> {
    let role = account.spec.role_arn.as_ref().map(|arn| parse(account, "spec.roleARN", arn)).transpose()?;
    Ok(Access {
        account: parse(account, "spec.accountID", &account.spec.account_id)?,
        object: account.name.to_owned(),
        role,
        external_id: account.spec.external_id.clone(),
    })
}

fn path_of(account: Sole<'_>, installation: &InstallationId) -> Result<RolePath, Blocker> {
    let path = account.spec.invoke_roles.as_ref().and_then(|roles| roles.path.as_ref());
    path.map_or_else(
        || Ok(names::default_role_path(installation)),
        |path| parse(account, "spec.invokeRoles.path", path),
    )
}

fn parse<T: std::str::FromStr<Err = super::ids::InvalidId>>(
    account: Sole<'_>,
    field: &str,
    value: &str,
) -> Result<T, Blocker> {
    value.parse().map_err(|error: super::ids::InvalidId| {
        not_granted(format!(
            "{field} of AwsAccount {} cannot be used: {error}; ask the platform team to correct it",
            account.name
        ))
    })
}

#[cfg(test)]
mod tests;
