//! STS: `AssumeRole` and `GetCallerIdentity`.

use serde_json::Value;

use crate::{
    authorization::{Denial, PolicyType},
    error::ServiceError,
    iam::documents::{self, Kind},
    state::{Caller, Identity, Issued, SECRET_KEY, Service, World, authorize::Assumer},
    wire::query::{Form, Xml, validation},
};

/// Answers one call.
pub(crate) fn handle(world: &mut World, caller: &Caller, operation: &str, form: &Form) -> Result<Xml, ServiceError> {
    match operation {
        "AssumeRole" => assume_role(world, caller, form),
        "GetCallerIdentity" => {
            Ok(Xml::default().text("UserId", &caller.user_id).text("Account", &caller.account).text("Arn", &caller.arn))
        }
        other => {
            Err(ServiceError::new("InvalidAction", format!("Could not find operation {other} for version 2011-06-15")))
        }
    }
}

/// STS API reference, `AssumeRole`: session names of 2–64 characters, external ids of 2–1,224, 900 s up to the role's
/// maximum, and 3,600 s at most for a session assumed from a role ("role chaining").
fn assume_role(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    if let Some(parameter) =
        form.has_any(&["PolicyArns", "Tags", "TransitiveTagKeys", "SourceIdentity", "SerialNumber"])
    {
        return Err(ServiceError::unsupported(format!("AssumeRole with {parameter}")));
    }
    let role_arn = form.require("RoleArn")?;
    let session = form.require("RoleSessionName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&session.len()) || !session.chars().all(allowed) {
        return Err(validation("roleSessionName", "Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}"));
    }
    let external_id = form.get("ExternalId");
    let external_allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if external_id.is_some_and(|id| !(2..=1224).contains(&id.len()) || !id.chars().all(external_allowed)) {
        return Err(validation(
            "externalId",
            "Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]{2,1224}",
        ));
    }
    let duration = duration(form)?;
    let policy = form.get("Policy").map(session_policy).transpose()?;
    let asked = Assumption { role_arn, session, external_id, seconds: duration };
    let issued = assume_limited(world, caller, &asked, policy)?;
    let credentials = Xml::default()
        .text("AccessKeyId", &issued.credentials.access_key)
        .text("SecretAccessKey", SECRET_KEY)
        .text("SessionToken", &issued.credentials.token)
        .text("Expiration", issued.credentials.expires.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let user = Xml::default().text("AssumedRoleId", &issued.user_id).text("Arn", &issued.arn);
    Ok(Xml::default().nest("Credentials", &credentials).nest("AssumedRoleUser", &user))
}

/// What `AssumeRole` is asked.
pub(crate) struct Assumption<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) session: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) seconds: u32,
}

/// What `AssumeRole` issues.
pub(crate) struct Assumed {
    pub(crate) credentials: Issued,
    user_id: String,
    arn: String,
}

/// A session policy: at most 2,048 characters (API reference, `AssumeRole`, `Policy`).
fn session_policy(text: &str) -> Result<Value, ServiceError> {
    if text.chars().count() > 2048 {
        return Err(ServiceError::new("PackedPolicyTooLarge", "The session policy has more than 2048 characters."));
    }
    documents::parse("policy", text, Kind::Identity)
}

/// Judges an assumption whose parameters have been checked, and issues the session.
pub(crate) fn assume(world: &mut World, caller: &Caller, asked: &Assumption<'_>) -> Result<Assumed, ServiceError> {
    assume_limited(world, caller, asked, None)
}

fn assume_limited(
    world: &mut World,
    caller: &Caller,
    asked: &Assumption<'_>,
    policy: Option<Value>,
) -> Result<Assumed, ServiceError> {
    let Assumption { role_arn, session, external_id, seconds } = *asked;
    world.note("sts:AssumeRole", role_arn);
    if caller.identity == Identity::Root {
        let text = "Roles may not be assumed by root accounts.";
        return Err(Service::Sts.access_denied(text));
    }
    let missing = Denial::implicit(PolicyType::RoleTrust);
    if let Some(denial) = world.assume_denial(Assumer::Caller(caller), role_arn, external_id)? {
        return Err(denied(world, caller, role_arn, &denial));
    }
    let found = world.role_by_arn(role_arn, world.now());
    let Some((account, role)) = found else { return Err(denied(world, caller, role_arn, &missing)) };
    let (account, role) = (account.to_owned(), role.clone());
    if seconds > role.max_session_duration {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(ServiceError::new("ValidationError", text));
    }
    if seconds > 3600 && matches!(caller.identity, Identity::Role { .. }) {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(ServiceError::new("ValidationError", text));
    }
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    Ok(Assumed {
        credentials: world.issue_limited_session(&account, &role, (session, seconds), policy),
        user_id: format!("{}:{session}", role.id),
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{}/{session}", role.name),
    })
}

/// STS says which kind of policy denies, except where neither the caller's policies nor the trust policy allow: all reports
/// of that end with the role, whichever half is missing.
fn denied(world: &World, caller: &Caller, role_arn: &str, denial: &Denial) -> ServiceError {
    let is_half_missing = !denial.is_explicit && matches!(denial.policy, PolicyType::RoleTrust | PolicyType::Identity);
    let reason = if is_half_missing {
        String::new()
    } else {
        format!(" {}", denial.reason("sts:AssumeRole", world.shows_policies(&caller.account, role_arn)))
    };
    let text = format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", caller.arn);
    Service::Sts.access_denied(text + &reason)
}

fn duration(form: &Form) -> Result<u32, ServiceError> {
    let text = form.get("DurationSeconds").unwrap_or("3600");
    text.parse().ok().filter(|seconds| (900..=43200).contains(seconds)).ok_or_else(|| {
        validation(
            "durationSeconds",
            "Member must have value greater than or equal to 900 and less than or equal to 43200",
        )
    })
}
