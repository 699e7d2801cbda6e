//! From the spec as written to the declaration as typed. The API server refuses most bad input at apply; objects from
//! before a rule exist all the same, so everything is checked again here.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use super::{
    ids::{AccountId, ActionName, Arn, InstallationId, InvalidId, ObjectKey, RoleName, StageName},
    names,
    pipeline_edit::Position,
    plan::Blocker,
    spec::{Declared, Location, Trust},
};
use crate::api::{
    CrossAccountInvoke, CrossAccountInvokeSpec, Reason, StagePosition, TrustMode, UserParameters, annotation,
};

/// How often AWS is compared when the object does not say.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(10);
/// Bounds of the interval.
const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);

/// Longest name of an object: with its namespace (63) it has to fit a tag's value (256).
const NAME_MAX: usize = 192;

/// Types the spec of an object. Of one that is being deleted only what its removal needs has to be right.
///
/// # Errors
/// As [`validate`].
pub fn validate_object(
    key: &ObjectKey,
    object: &CrossAccountInvoke,
    installation: &InstallationId,
) -> Result<Declared, Blocker> {
    let mut spec = object.spec.clone();
    if object.metadata.deletion_timestamp.is_some() {
        spec.action.iter_mut().for_each(|action| action.user_parameters = None);
        spec.invoke_role.iter_mut().for_each(|role| role.tags.clear());
    } else if lost_null(object) {
        // What the object itself has may be right by now: the annotation is as old as the last client-side apply.
        return Err(invalid(
            "spec.action.userParameters",
            &format!(
                "is null in the manifest that was applied last (annotation {applied}), and kubectl leaves such a field out: quote \
                 values that begin with #, for example '#{{variables.suite}}', or leave the field out, and kubectl apply the \
                 manifest again; where the object is not written by kubectl apply any more: kubectl annotate \
                 crossaccountinvoke {name} --namespace {namespace} {applied}-",
                applied = annotation::LAST_APPLIED,
                name = key.name,
                namespace = key.namespace,
            ),
        ));
    }
    validate(key, &spec, installation)
}

/// Whether `userParameters: null` was applied client-side, which leaves the field out: no other trace of it remains.
fn lost_null(object: &CrossAccountInvoke) -> bool {
    let absent = object.spec.action.as_ref().is_none_or(|action| action.user_parameters.is_none());
    let annotations = object.metadata.annotations.as_ref();
    let applied = annotations.and_then(|annotations| annotations.get(annotation::LAST_APPLIED)).filter(|_| absent);
    let applied = applied.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    applied
        .is_some_and(|applied| applied.pointer("/spec/action/userParameters").is_some_and(serde_json::Value::is_null))
}

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
    if key.name.len() > NAME_MAX {
        return Err(invalid(
            "metadata.name",
            "it must have at most 192 characters, since a tag on the invoke role holds it",
        ));
    }
    let action = action(key, spec)?;
    let (role_name, role_is_named) = role_name(key, spec, installation)?;
    let role = spec.invoke_role.as_ref();
    Ok(Declared {
        key: key.clone(),
        pipeline: parse("spec.pipeline.name", &spec.pipeline.name)?,
        stage: parse("spec.stage.name", &spec.stage.name)?,
        position: spec.stage.position.as_ref().map(position).transpose()?,
        action: action.name,
        run_order: action.run_order,
        user_parameters: action.user_parameters,
        variables_namespace: action.variables_namespace,
        function: parse("spec.function.name", &spec.function.name)?,
        execution_role: execution_role(spec, &dev.account)?,
        role_name,
        role_is_named,
        tags: role.map(|role| tags(&role.tags)).transpose()?.unwrap_or_default(),
        trust: match role.map(|role| &role.trust) {
            Some(TrustMode::AccountRoot) => Trust::AccountRoot,
            Some(TrustMode::PipelineRole) | None => Trust::PipelineRole,
        },
        interval: interval(spec.interval.as_deref())?,
        tools,
        dev,
    })
}

struct ActionParts {
    name: ActionName,
    run_order: Option<u16>,
    user_parameters: Option<String>,
    variables_namespace: Option<String>,
}

fn action(key: &ObjectKey, spec: &CrossAccountInvokeSpec) -> Result<ActionParts, Blocker> {
    let action = spec.action.as_ref();
    let name = match action.and_then(|action| action.name.as_ref()) {
        Some(name) => parse("spec.action.name", name)?,
        None => parse("metadata.name, which is the action's name when spec.action.name is absent,", &key.name)?,
    };
    let in_range = |order: i32| u16::try_from(order).ok().filter(|order| (1..=999).contains(order));
    let run_order = action
        .and_then(|action| action.run_order)
        .map(|order| {
            in_range(order).ok_or_else(|| invalid("spec.action.runOrder", "it must be 1 to 999, for example 1"))
        })
        .transpose()?;
    let user_parameters = match action.and_then(|action| action.user_parameters.clone()) {
        Some(UserParameters::Null) => {
            return Err(invalid(
                "spec.action.userParameters",
                "is null: quote values that begin with #, for example '#{variables.suite}', or leave the field out",
            ));
        }
        Some(UserParameters::Text(text)) => Some(text).filter(|text| !text.is_empty()),
        None => None,
    };
    if user_parameters.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        return Err(invalid("spec.action.userParameters", "CodePipeline takes at most 1000 characters"));
    }
    let variables_namespace = action.and_then(|action| action.variables_namespace.clone());
    let fits = |text: &String| {
        (1..=100).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "@-_".contains(c))
    };
    if variables_namespace.as_ref().is_some_and(|text| !fits(text)) {
        return Err(invalid(
            "spec.action.variablesNamespace",
            "it must be 1 to 100 of A-Z a-z 0-9 @ - _, for example validation",
        ));
    }
    if let Some(reserved) = variables_namespace.as_deref().filter(|name| ["codepipeline", "variables"].contains(name)) {
        return Err(invalid(
            "spec.action.variablesNamespace",
            &format!("it must not be {reserved}, which CodePipeline reserves, for example validation"),
        ));
    }
    Ok(ActionParts { name, run_order, user_parameters, variables_namespace })
}

fn role_name(
    key: &ObjectKey,
    spec: &CrossAccountInvokeSpec,
    installation: &InstallationId,
) -> Result<(RoleName, bool), Blocker> {
    match spec.invoke_role.as_ref().and_then(|role| role.name.as_ref()) {
        // Derived names begin so: a given one must not be able to take the name of another object's role.
        Some(name) if name.to_ascii_lowercase().starts_with("crossinvoke-") => Err(invalid(
            "spec.invokeRole.name",
            "names that begin with crossinvoke- are derived by the controller; choose another, for example validate-invoke",
        )),
        Some(name) => Ok((parse("spec.invokeRole.name", name)?, true)),
        None => Ok((names::default_role_name(installation, key), false)),
    }
}

fn execution_role(spec: &CrossAccountInvokeSpec, dev: &AccountId) -> Result<Option<Arn>, Blocker> {
    let field = "spec.function.executionRole";
    let Some(given) = &spec.function.execution_role else { return Ok(None) };
    let arn: Arn = parse(field, given)?;
    if arn.role().is_none_or(|role| role.account != *dev) {
        return Err(invalid(
            field,
            &format!(
                "it must be the ARN of a role in spec.devAccount, for example arn:aws:iam::{dev}:role/service-role/MyFunction"
            ),
        ));
    }
    Ok(Some(arn))
}

/// Tags as IAM takes them (IAM API Reference, Tag).
fn tags(given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Blocker> {
    let legal = |text: &str, longest: usize| {
        text.chars().count() <= longest && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
    };
    for (index, key) in given.keys().enumerate() {
        if let Some(other) = given.keys().skip(index + 1).find(|other| names::same_tag_key(other, key)) {
            return Err(invalid(
                "spec.invokeRole.tags",
                &format!(
                    "IAM takes {key} and {other} for one key, since case does not count: keep one of them, for example {other}"
                ),
            ));
        }
    }
    for (key, value) in given {
        let reserved = ["aws:", "crossinvoke.dev/"].iter().any(|prefix| key.to_ascii_lowercase().starts_with(prefix));
        if reserved || key.is_empty() || !legal(key, 128) || !legal(value, 256) {
            return Err(invalid(
                "spec.invokeRole.tags",
                "keys have 1 to 128 and values at most 256 letters, digits, spaces and _ . : / = + - @, and keys do not begin \
                 with aws: or crossinvoke.dev/, for example team: payments",
            ));
        }
    }
    Ok(given.clone())
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

    fn spec(change: &serde_json::Value) -> CrossAccountInvokeSpec {
        let mut spec = serde_json::json!({
            "toolsAccount": {"id": "111111111111", "region": "us-east-1"},
            "devAccount": {"id": "222222222222"},
            "pipeline": {"name": "release"},
            "stage": {"name": "Validate"},
            "function": {"name": "MyFunction"},
        });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    /// Objects from before a rule exist.
    #[test]
    fn what_the_api_server_would_refuse_today_is_refused_here_too() {
        let validated = |name: &str, change: &serde_json::Value| {
            let key = ObjectKey { namespace: "payments".to_owned(), name: name.to_owned() };
            validate(&key, &spec(change), &"installed".parse().unwrap())
        };
        assert!(validated("validate", &serde_json::json!({})).is_ok());
        for (name, change, field) in [
            ("validate", serde_json::json!({"devAccount": {"id": "111111111111"}}), "spec.devAccount.id"),
            ("validate", serde_json::json!({"action": {"runOrder": 1000}}), "spec.action.runOrder"),
            (
                "validate",
                serde_json::json!({"action": {"variablesNamespace": "a b"}}),
                "spec.action.variablesNamespace",
            ),
            (
                "validate",
                serde_json::json!({"action": {"variablesNamespace": "codepipeline"}}),
                "spec.action.variablesNamespace",
            ),
            (
                "validate",
                serde_json::json!({"action": {"variablesNamespace": "variables"}}),
                "spec.action.variablesNamespace",
            ),
            ("validate", serde_json::json!({"invokeRole": {"name": "Crossinvoke-x"}}), "spec.invokeRole.name"),
            ("validate", serde_json::json!({"invokeRole": {"tags": {"aws:x": "y"}}}), "spec.invokeRole.tags"),
            ("validate", serde_json::json!({"invokeRole": {"tags": {"team": "a;b"}}}), "spec.invokeRole.tags"),
            (
                "validate",
                serde_json::json!({"invokeRole": {"tags": {"team": "a", "cost": "b", "Team": "a"}}}),
                "spec.invokeRole.tags: IAM takes Team and team for one key",
            ),
            (
                "validate",
                serde_json::json!({"action": {"userParameters": null}}),
                "spec.action.userParameters: is null: quote values that begin with #",
            ),
            (
                "validate",
                serde_json::json!({"function": {"name": "f", "executionRole": "arn:aws:iam::111111111111:role/r"}}),
                "spec.function.executionRole",
            ),
            ("validate", serde_json::json!({"stage": {"name": "V", "position": {}}}), "spec.stage.position"),
            ("validate", serde_json::json!({"interval": "1s"}), "spec.interval"),
            (&"n".repeat(193), serde_json::json!({"action": {"name": "Run"}}), "metadata.name"),
        ] {
            let refused = validated(name, &change).unwrap_err();
            assert_eq!(refused.reason, Reason::InvalidSpec);
            assert!(refused.message.starts_with(field), "{}", refused.message);
            assert!(refused.message.contains("for example") || refused.message.contains("must"), "{}", refused.message);
        }
    }

    /// It names a variable that nobody meant to leave out, whichever way it was applied; and it keeps nobody from going.
    #[test]
    fn null_for_user_parameters_is_reported_and_does_not_block_deletion() {
        let key = ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() };
        let null = spec(&serde_json::json!({"action": {"userParameters": null}}));
        let dropped = spec(&serde_json::json!({"action": {}}));
        let given = spec(&serde_json::json!({"action": {"userParameters": "#{variables.suite}"}}));
        let applied = |text: &str| Some([(annotation::LAST_APPLIED.to_owned(), text.to_owned())].into());
        let with_null = r#"{"spec": {"action": {"userParameters": null}}}"#;
        let check = |spec: &CrossAccountInvokeSpec, annotations: Option<BTreeMap<String, String>>, deleting: bool| {
            let mut object = CrossAccountInvoke::new("validate", spec.clone());
            object.metadata.annotations = annotations;
            let now = jiff::Timestamp::UNIX_EPOCH;
            object.metadata.deletion_timestamp =
                deleting.then_some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
            validate_object(&key, &object, &"installed".parse().unwrap())
        };
        for (spec, annotations) in [(&null, None), (&dropped, applied(with_null))] {
            let refused = check(spec, annotations.clone(), false).unwrap_err();
            assert!(refused.message.contains("quote values that begin with #"), "{}", refused.message);
            // The annotation outlives an edit of the object, and nothing but this way out removes it.
            let way_out = "kubectl apply the manifest again; where the object is not written by kubectl apply any more: kubectl \
                annotate crossaccountinvoke validate --namespace payments kubectl.kubernetes.io/last-applied-configuration-";
            assert_eq!(refused.message.ends_with(way_out), annotations.is_some(), "{}", refused.message);
            assert!(check(spec, annotations, true).is_ok());
        }
        for (spec, annotations) in [
            (&dropped, None),
            (&dropped, applied("{}")),
            (&dropped, applied("not JSON")),
            (&dropped, applied(r#"{"spec": {"action": {"userParameters": "x"}}}"#)),
            // Given since then in another way.
            (&given, applied(with_null)),
        ] {
            assert!(check(spec, annotations.clone(), false).is_ok(), "{annotations:?}");
        }
    }

    #[test]
    fn null_means_absent_wherever_it_may_stand() {
        let validated = |change: &serde_json::Value| {
            let key = ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() };
            validate(&key, &spec(change), &"installed".parse().unwrap()).map_err(|blocker| blocker.message)
        };
        let absent = validated(&serde_json::json!({"stage": {"name": "Validate", "position": {"after": "Build"}}}));
        let null = validated(&serde_json::json!({
            "devAccount": {"id": "222222222222", "region": null},
            "stage": {"name": "Validate", "position": {"after": "Build", "before": null}},
            "action": {"name": null, "runOrder": null, "variablesNamespace": null},
            "function": {"name": "MyFunction", "executionRole": null},
            "invokeRole": {"name": null, "tags": null, "trust": null},
            "interval": null,
        }));
        assert!(absent.is_ok());
        assert_eq!(absent, null);
        let whole =
            serde_json::json!({"action": null, "invokeRole": null, "stage": {"name": "Validate", "position": null}});
        assert_eq!(validated(&whole), validated(&serde_json::json!({})));
    }

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
