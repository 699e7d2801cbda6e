//! From the spec as written to the declaration as typed. The API server refuses most bad input at apply; objects from
//! before a rule exist all the same, so everything is checked again here.

use std::{str::FromStr, time::Duration};

use super::{
    ids::{ActionName, Arn, InstallationId, InvalidId, ObjectKey, StageName},
    names,
    pipeline_edit::Position,
    plan::Blocker,
    spec::{Declared, Location, Trust},
};
use crate::api::{CrossAccountInvokeSpec, Reason, StagePosition, TrustMode};

/// How often AWS is compared when the object does not say.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(10);
/// Bounds of the interval.
const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);

/// Types a spec.
///
/// # Errors
/// `InvalidSpec`, naming the field, the rule and an example.
pub fn validate(
    key: &ObjectKey,
    spec: &CrossAccountInvokeSpec,
    installation: &InstallationId,
) -> Result<Declared, Blocker> {
    let tools = Location {
        account: parse("spec.toolsAccount.id", &spec.tools_account.id)?,
        region: parse("spec.toolsAccount.region", &spec.tools_account.region)?,
    };
    let dev_region = spec.dev_account.region.as_ref().unwrap_or(&spec.tools_account.region);
    let dev = Location {
        account: parse("spec.devAccount.id", &spec.dev_account.id)?,
        region: parse("spec.devAccount.region", dev_region)?,
    };
    if tools.account == dev.account {
        return Err(invalid(
            "spec.devAccount.id",
            "it must differ from spec.toolsAccount.id: within one account no role has to be assumed",
        ));
    }
    let action = spec.action.as_ref();
    let name = action.and_then(|action| action.name.as_ref());
    let action_name: ActionName = match name {
        Some(name) => parse("spec.action.name", name)?,
        None => parse("metadata.name, which is the action's name when spec.action.name is absent,", &key.name)?,
    };
    let run_order = action.and_then(|action| action.run_order).unwrap_or(1);
    let run_order = u16::try_from(run_order)
        .ok()
        .filter(|order| (1..=999).contains(order))
        .ok_or_else(|| invalid("spec.action.runOrder", "it must be 1 to 999, for example 1"))?;
    let parameters = action.and_then(|action| action.user_parameters.clone()).filter(|text| !text.is_empty());
    if parameters.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        return Err(invalid("spec.action.userParameters", "CodePipeline takes at most 1000 characters"));
    }
    let execution_role = spec.function.execution_role.as_ref();
    let execution_role: Option<Arn> =
        execution_role.map(|arn| parse("spec.function.executionRole", arn)).transpose()?;
    let role = spec.invoke_role.as_ref();
    let given = role.and_then(|role| role.name.as_ref());
    let role_name = match given {
        // Derived names begin so: a given one must not be able to take the name of another object's role.
        Some(name) if name.to_ascii_lowercase().starts_with("crossinvoke-") => {
            return Err(invalid(
                "spec.invokeRole.name",
                "names that begin with crossinvoke- are derived by the controller; choose another, for example validate-invoke",
            ));
        }
        Some(name) => parse("spec.invokeRole.name", name)?,
        None => names::default_role_name(installation, key),
    };
    Ok(Declared {
        key: key.clone(),
        tools,
        dev,
        pipeline: parse("spec.pipeline.name", &spec.pipeline.name)?,
        stage: parse("spec.stage.name", &spec.stage.name)?,
        position: spec.stage.position.as_ref().map(position).transpose()?,
        action: action_name,
        run_order,
        user_parameters: parameters,
        variables_namespace: action.and_then(|action| action.variables_namespace.clone()),
        function: parse("spec.function.name", &spec.function.name)?,
        execution_role,
        role_name,
        role_is_named: given.is_some(),
        tags: role.map(|role| role.tags.clone()).unwrap_or_default(),
        trust: match role.map(|role| &role.trust) {
            Some(TrustMode::AccountRoot) => Trust::AccountRoot,
            Some(TrustMode::PipelineRole) | None => Trust::PipelineRole,
        },
        interval: interval(spec.interval.as_deref())?,
    })
}

/// Reads `10m`, `1h30m`, `90s`.
fn interval(text: Option<&str>) -> Result<Duration, Blocker> {
    let Some(text) = text else { return Ok(DEFAULT_INTERVAL) };
    parse_interval(text)
        .filter(|interval| INTERVAL.contains(interval))
        .ok_or_else(|| invalid("spec.interval", "it must be 10s to 24h, as numbers with s, m or h, for example 10m"))
}

/// A sum of hours, minutes and seconds such as `1h30m`; `None` when it is not one.
#[must_use]
pub fn parse_interval(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(Duration::from_secs(seconds))
}

fn position(position: &StagePosition) -> Result<Position, Blocker> {
    let stage = |field, name: &String| parse::<StageName>(field, name);
    match (&position.after, &position.before) {
        (Some(after), None) => stage("spec.stage.position.after", after).map(Position::After),
        (None, Some(before)) => stage("spec.stage.position.before", before).map(Position::Before),
        _ => Err(invalid(
            "spec.stage.position",
            "exactly one of after and before must be set, for example {after: Build}",
        )),
    }
}

fn parse<T: FromStr<Err = InvalidId>>(field: &str, value: &str) -> Result<T, Blocker> {
    value.parse().map_err(|error: InvalidId| invalid(field, &error.to_string()))
}

fn invalid(field: &str, problem: &str) -> Blocker {
    Blocker { reason: Reason::InvalidSpec, message: format!("{field}: {problem}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_sums_of_hours_minutes_and_seconds() {
        for (text, seconds) in [("10s", Some(10)), ("1h30m", Some(5400)), ("10m", Some(600)), ("1m1m", Some(120))] {
            assert_eq!(parse_interval(text), seconds.map(Duration::from_secs), "{text}");
        }
        for bad in ["", "10", "m", "1d", "-1s", "1.5h", "99999999999999999999h", "18446744073709551615h"] {
            assert_eq!(parse_interval(bad), None, "{bad}");
        }
        assert!(interval(Some("9s")).is_err());
        assert!(interval(Some("24h1s")).is_err());
        assert_eq!(interval(None).unwrap(), DEFAULT_INTERVAL);
    }
}
