use serde_json::{Value, json};

use super::*;
use crate::domain::{ids::ObjectKey, validate::validate};

/// Two accounts that grant what the object asks for, changed by these.
fn asked(tools: &Value, dev: &Value, spec: &Value) -> (Declared, Input) {
    let account = |name: &str, right: Value, change: &Value| {
        let mut account = right;
        merge(&mut account, change);
        Account {
            name: name.to_owned(),
            id: account["accountID"].as_str().unwrap().to_owned(),
            spec: Ok(serde_json::from_value(account).unwrap()),
            deleting: false,
            held: true,
            created: None,
        }
    };
    let accounts = [
        account(
            "tools",
            json!({"accountID": "111111111111", "grants": [
                {"name": "g", "namespaces": {"names": ["payments"]}, "pipelines": ["release"]},
            ]}),
            tools,
        ),
        account(
            "dev",
            json!({"accountID": "222222222222", "grants": [
                {"name": "g", "namespaces": {"names": ["payments"]}, "functions": ["f"], "callers": ["111111111111"]},
            ]}),
            dev,
        ),
    ];
    let mut right = json!({
        "toolsAccount": {"id": "111111111111", "region": "us-east-1"},
        "devAccount": {"id": "222222222222", "region": "eu-west-1"},
        "pipeline": {"name": "release"},
        "stage": {"name": "Validate"},
        "function": {"name": "f"},
    });
    merge(&mut right, spec);
    let key = ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() };
    let declared = validate(&key, &serde_json::from_value(right).unwrap(), &installation()).unwrap();
    (declared, Input { accounts: Arc::from(accounts), namespace_labels: None })
}

fn installation() -> InstallationId {
    "installed".parse().unwrap()
}

/// A merge patch; lists are merged entry by entry.
fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(change)) if into.len() == change.len() => {
            into.iter_mut().zip(change).for_each(|(into, change)| merge(into, change));
        }
        (into, change) => *into = change.clone(),
    }
}

/// Whether it is opened, or what the refusal must name.
type Row<'a> = (&'a str, Value, Value, Value, Option<(Reason, &'a [&'a str])>);

fn check(rows: &[Row<'_>]) {
    for (what, tools, dev, spec, expected) in rows {
        let (declared, input) = asked(tools, dev, spec);
        match (gate(&declared, &input, &installation()), expected) {
            (Ok(_), None) => {}
            (Err(refused), Some((reason, parts))) => {
                assert_eq!(refused.reason, *reason, "{what}: {}", refused.message);
                for part in *parts {
                    assert!(refused.message.contains(part), "{what}: {part:?} is not in {}", refused.message);
                }
            }
            (found, _) => panic!("{what}: {found:?}"),
        }
    }
}

#[test]
fn a_grant_opens_its_pipelines_and_functions_in_its_regions_only() {
    let none = || json!({});
    let in_regions = |regions: Value| json!({"grants": [{"regions": regions}]});
    let refused = |parts: &'static [&'static str]| Some((Reason::NotGranted, parts));
    check(&[
        ("absent opens every region", none(), none(), none(), None),
        ("null too", in_regions(json!(null)), in_regions(json!(null)), none(), None),
        ("each by its own region", in_regions(json!(["us-east-1"])), in_regions(json!(["eu-west-1"])), none(), None),
        (
            "another region of the pipeline",
            in_regions(json!(["eu-west-1", "eu-north-1"])),
            none(),
            none(),
            refused(&["AwsAccount tools", "us-east-1", "regions of grant g lists eu-west-1, eu-north-1"]),
        ),
        (
            "another region of the function",
            none(),
            in_regions(json!(["us-east-1"])),
            none(),
            refused(&["AwsAccount dev", "eu-west-1", "regions of grant g lists us-east-1"]),
        ),
        ("an empty list opens nothing", in_regions(json!([])), none(), none(), refused(&["lists nothing"])),
        (
            "the region of a grant for another pipeline does not help",
            json!({"grants": [
                {"name": "g", "namespaces": {"names": ["payments"]}, "pipelines": ["release"], "regions": ["eu-west-1"]},
                {"name": "h", "namespaces": {"names": ["payments"]}, "pipelines": ["other"], "regions": ["us-east-1"]},
            ]}),
            none(),
            none(),
            refused(&["grant g lists eu-west-1"]),
        ),
        (
            "nor do the callers of a grant for another region",
            none(),
            json!({"grants": [
                {"name": "g", "namespaces": {"names": ["payments"]}, "functions": ["f"], "callers": ["111111111111"], "regions": ["us-east-1"]},
                {"name": "h", "namespaces": {"names": ["payments"]}, "functions": ["f"], "callers": ["333333333333"], "regions": ["eu-west-1"]},
            ]}),
            none(),
            refused(&["callers of grant h lists 333333333333"]),
        ),
    ]);
}

#[test]
fn accounts_and_arns_of_one_object_lie_in_one_partition() {
    let role =
        |partition: &str, account: &str| json!({"roleARN": format!("arn:{partition}:iam::{account}:role/crossinvoke")});
    let boundary = |partition: &str| json!({"invokeRoles": {"permissionsBoundaryARN": format!("arn:{partition}:iam::aws:policy/ReadOnlyAccess")}});
    let execution =
        |partition: &str| json!({"function": {"executionRole": format!("arn:{partition}:iam::222222222222:role/f")}});
    let refused = |parts: &'static [&'static str]| Some((Reason::InvalidSpec, parts));
    check(&[
        (
            "a partition that came late",
            role("aws-eusc", "111111111111"),
            role("aws-eusc", "222222222222"),
            execution("aws-eusc"),
            None,
        ),
        (
            "two accounts",
            role("aws", "111111111111"),
            role("aws-cn", "222222222222"),
            json!({}),
            refused(&["roleARN of AwsAccount tools is in partition aws", "roleARN of AwsAccount dev in aws-cn"]),
        ),
        (
            "the boundary",
            role("aws", "111111111111"),
            boundary("aws-us-gov"),
            json!({}),
            refused(&["permissionsBoundaryARN of AwsAccount dev in aws-us-gov"]),
        ),
        (
            "the execution role",
            json!({}),
            role("aws", "222222222222"),
            execution("aws-iso-e"),
            refused(&["spec.function.executionRole in aws-iso-e", "one partition"]),
        ),
    ]);
}

#[test]
fn tags_are_imposed_and_allowed_without_regard_to_case() {
    let tags = |tags: Value| json!({"invokeRole": {"tags": tags}});
    let platform = || json!({"invokeRoles": {"allowedTagKeys": ["Team"], "tags": {"CostCenter": "4711"}}});
    let refused = |parts: &'static [&'static str]| Some((Reason::NotGranted, parts));
    check(&[
        ("an allowed key in another spelling", json!({}), platform(), tags(json!({"team": "payments"})), None),
        (
            "an imposed key",
            json!({}),
            platform(),
            tags(json!({"costcenter": "0"})),
            refused(&["costcenter", "spec.invokeRoles.tags of AwsAccount dev sets CostCenter"]),
        ),
        (
            "another key",
            json!({}),
            platform(),
            tags(json!({"owner": "me"})),
            refused(&["owner", "allowedTagKeys of AwsAccount dev"]),
        ),
    ]);
    let (declared, input) = asked(&json!({}), &platform(), &json!({}));
    let granted = gate(&declared, &input, &installation()).unwrap();
    assert_eq!(granted.imposed_tags, BTreeMap::from([("CostCenter".to_owned(), "4711".to_owned())]));
}

#[test]
fn globs_match_whole_names() {
    for (glob, name, expected) in [
        ("payments-*", "payments-release", true),
        ("payments-*", "payments-", true),
        ("payments-*", "my-payments-release", false),
        ("MyFunction", "MyFunction", true),
        ("MyFunction", "MyFunction2", false),
        ("*", "anything", true),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "acb", false),
        ("a*a", "a", false),
        ("*-release", "x-release", true),
        ("*-release", "x-release2", false),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(glob_matches(glob, name), expected, "{glob} {name}");
    }
}

#[test]
fn an_account_that_is_being_deleted_opens_what_is_in_place_as_long_as_it_is_held() {
    for (deleting, held, expected) in [
        ([false, false], true, Ok(None)),
        ([true, false], true, Ok(Some("tools"))),
        ([false, true], true, Ok(Some("dev"))),
        ([true, true], true, Ok(Some("tools"))),
        ([true, false], false, Err(Reason::NotGranted)),
    ] {
        let (declared, mut input) = asked(&json!({}), &json!({}), &json!({}));
        let mut accounts = input.accounts.to_vec();
        for (account, deleting) in accounts.iter_mut().zip(deleting) {
            (account.deleting, account.held) = (deleting, held || !deleting);
        }
        input.accounts = accounts.into();
        let found = gate(&declared, &input, &installation());
        let found = found.map(|granted| granted.closing).map_err(|refused| refused.reason);
        let said = |name: &str| format!("AwsAccount {name} ");
        match (found, expected) {
            (Ok(Some(closing)), Ok(Some(name))) => assert!(closing.starts_with(&said(name)), "{closing}"),
            (found, expected) => assert_eq!(found, expected.map(|name| name.map(said)), "{deleting:?} {held}"),
        }
    }
}

#[test]
fn an_account_that_cannot_be_read_is_named_and_opens_nothing() {
    let (declared, mut input) = asked(&json!({}), &json!({}), &json!({}));
    let mut accounts = input.accounts.to_vec();
    accounts[1].spec = Err("unknown variant `Later`".to_owned());
    let mut again = accounts[1].clone();
    input.accounts = accounts.clone().into();
    let id = declared.dev.account.clone();
    for refused in [
        gate(&declared, &input, &installation()).unwrap_err(),
        access_for_removal(&declared, &input, &installation()).unwrap_err(),
        way_into(&input, &id).unwrap_err(),
    ] {
        assert_eq!(refused.reason, Reason::InvalidSpec);
        for part in ["AwsAccount dev (account 222222222222) cannot be read", "unknown variant `Later`"] {
            assert!(refused.message.contains(part), "{part:?} is not in {}", refused.message);
        }
    }
    assert!(!is_granted(&declared, &input));
    // A second one of its id does not open the account in its place.
    "again".clone_into(&mut again.name);
    let read = asked(&json!({}), &json!({}), &json!({})).1.accounts[1].spec.clone();
    again.spec = read;
    accounts.push(again);
    input.accounts = accounts.into();
    let refused = gate(&declared, &input, &installation()).unwrap_err();
    assert_eq!(refused.reason, Reason::DuplicateAccount);
}
