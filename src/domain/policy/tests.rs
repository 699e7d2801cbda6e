use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn arn(text: &str) -> Arn {
    text.parse().unwrap()
}

fn role(name: &str) -> Arn {
    arn(&format!("arn:aws:iam::222222222222:role/crossinvoke/{name}"))
}

fn tools() -> AccountId {
    "111111111111".parse().unwrap()
}

#[test]
fn documents_that_mean_the_same_are_equal() {
    let cases = [
        (
            "a string is an array of one",
            json!({"Statement": {"Action": "s3:Get"}}),
            json!({"Statement": [{"Action": ["s3:Get"]}]}),
        ),
        (
            "arrays are sets",
            json!({"Statement": [{"Resource": ["b", "a", "a"]}]}),
            json!({"Statement": [{"Resource": ["a", "b"]}]}),
        ),
        (
            "actions have no case",
            json!({"Statement": [{"Action": "STS:assumerole"}]}),
            json!({"Statement": [{"Action": "sts:AssumeRole"}]}),
        ),
        (
            "condition keys and operators have no case",
            json!({"Statement": [{"Condition": {"arnequals": {"AWS:PRINCIPALARN": "x"}}}]}),
            json!({"Statement": [{"Condition": {"ArnEquals": {"aws:PrincipalArn": ["x"]}}}]}),
        ),
        (
            "a boolean is its text",
            json!({"Statement": [{"Condition": {"Bool": {"k": true}}}]}),
            json!({"Statement": [{"Condition": {"Bool": {"k": "true"}}}]}),
        ),
        (
            "a number is its text",
            json!({"Statement": [{"Condition": {"NumericLessThan": {"k": 5}}}]}),
            json!({"Statement": [{"Condition": {"NumericLessThan": {"k": ["5"]}}}]}),
        ),
        (
            "an account is its root",
            json!({"Statement": [{"Principal": {"AWS": "111111111111"}}]}),
            json!({"Statement": [{"Principal": {"AWS": "arn:aws-cn:iam::111111111111:root"}}]}),
        ),
        (
            "everybody is everybody",
            json!({"Statement": [{"Principal": "*"}]}),
            json!({"Statement": [{"Principal": {"AWS": ["*"]}}]}),
        ),
        (
            "statements have no order and no names",
            json!({"Id": "x", "Statement": [{"Sid": "1", "Action": "a"}, {"Action": "b"}]}),
            json!({"Statement": [{"Action": "b"}, {"Sid": "other", "Action": "a"}]}),
        ),
        (
            "an empty condition is none",
            json!({"Statement": [{"Action": "a", "Condition": {}}]}),
            json!({"Statement": [{"Action": "a"}]}),
        ),
    ];
    for (what, one, other) in cases {
        assert!(same_meaning(&one, &other), "{what}: {} {}", canonical(&one), canonical(&other));
    }
}

/// A trust policy as IAM returns it, or as a person writes the same.
#[test]
fn a_trust_policy_in_another_spelling_is_ours_and_another_trust_is_not() {
    let pipeline_role = "arn:aws:iam::111111111111:role/service-role/Release";
    let ours = trust_pipeline_roles("aws", &tools(), &BTreeSet::from([arn(pipeline_role)]));
    let with = |statement: Value| json!({"Version": "2012-10-17", "Statement": statement});
    let statement = |principal: Value, condition: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition});
    let root = || json!({"AWS": "arn:aws:iam::111111111111:root"});
    let equals = |value: Value| json!({"ArnEquals": {"aws:PrincipalArn": value}});
    let mut named = statement(root(), equals(json!(pipeline_role)));
    named["Sid"] = json!("PipelineRole");
    let mut loud = statement(root(), equals(json!(pipeline_role)));
    loud["Action"] = json!(["STS:AssumeRole"]);
    let mut with_id = with(json!([named]));
    with_id["Id"] = json!("Trust");
    for (what, same) in [
        ("one statement without a list", with(statement(root(), equals(json!(pipeline_role))))),
        (
            "a bare account id in a list",
            with(json!([statement(json!({"AWS": ["111111111111"]}), equals(json!(pipeline_role)))])),
        ),
        ("the action in capitals in a list", with(json!([loud]))),
        (
            "the condition key in capitals with a list of one",
            with(json!([statement(root(), json!({"arnequals": {"AWS:PrincipalARN": [pipeline_role]}}))])),
        ),
        ("with Id and Sid", with_id),
    ] {
        assert!(same_meaning(&ours, &same), "{what}: {}", canonical(&same));
        assert_eq!(trusted_pipeline_roles(&same), trusted_pipeline_roles(&ours), "{what}");
    }
    let mut old = ours.clone();
    old["Version"] = json!("2008-10-17");
    let mut without = ours.clone();
    without.as_object_mut().unwrap().remove("Version");
    for (what, other) in [
        ("the older version, in which ${…} is text", old),
        ("no version, which is the older one", without),
        (
            "a pattern",
            with(json!([statement(
                root(),
                json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}})
            )])),
        ),
        (
            "a second principal",
            with(json!([statement(json!({"AWS": ["111111111111", "333333333333"]}), equals(json!(pipeline_role)))])),
        ),
        (
            "the id of a deleted role left in the list",
            with(json!([statement(json!({"AWS": ["111111111111", "AROAEXAMPLEID"]}), equals(json!(pipeline_role)))])),
        ),
        (
            "a second statement",
            with(json!([statement(root(), equals(json!(pipeline_role))), statement(root(), json!({}))])),
        ),
    ] {
        assert!(!same_meaning(&ours, &other), "{what}: {}", canonical(&other));
    }
}

#[test]
fn documents_that_mean_different_things_differ() {
    let base = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111111111111"},
        "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/R"}}}]});
    let others = [
        ("/Version", json!("2008-10-17")),
        ("/Statement/0/Effect", json!("Deny")),
        ("/Statement/0/Action", json!("sts:*")),
        ("/Statement/0/Principal/AWS", json!("333333333333")),
        ("/Statement/0/Principal/AWS", json!(["111111111111", "333333333333"])),
        ("/Statement/0/Principal/AWS", json!("AROAEXAMPLEID")),
        ("/Statement/0/Principal", json!("*")),
        ("/Statement/0/Condition", json!({})),
        ("/Statement/0/Condition/ArnEquals/aws:PrincipalArn", json!("arn:aws:iam::111111111111:role/r")),
        ("/Statement/0/Condition", json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/R"}})),
        ("/Statement", json!([])),
    ];
    for (pointer, value) in others {
        let mut other = base.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert!(!same_meaning(&base, &other), "{pointer} {other}");
    }
    let mut more = base.clone();
    more["Statement"][0]["Future"] = json!(1);
    assert!(!same_meaning(&base, &more), "a member that this code does not know makes a difference");
}

#[test]
fn the_documents_we_write_read_as_goldens() {
    let pipeline = arn("arn:aws-us-gov:iam::111111111111:role/service-role/Release");
    let functions = BTreeSet::from([arn("arn:aws:lambda:us-east-1:222222222222:function:MyFunction")]);
    let all = json!({
        "trust, PipelineRole": trust_pipeline_roles("aws-us-gov", &tools(), &BTreeSet::from([pipeline])),
        "trust, AccountRoot": trust_account_root("aws-cn", &tools()),
        "invoke": invoke(&functions, true),
        "invoke, without the list": invoke(&functions, false),
        "callback": callback(),
        "assume, one": assume(&BTreeSet::from([role("a")])),
        "assume, two": assume(&BTreeSet::from([role("b"), role("a")])),
    });
    insta::assert_json_snapshot!(all);
}

#[test]
fn entries_are_read_from_our_own_form_only() {
    let roles = BTreeSet::from([role("a"), role("b")]);
    assert_eq!(assume_entries(&assume(&roles)), Some(roles.clone()));
    assert_eq!(invoke_entries(&invoke(&roles, true)), Some(roles.clone()));
    assert_eq!(trusted_pipeline_roles(&trust_pipeline_roles("aws", &tools(), &roles)), Some(roles));
    assert_eq!(trusted_pipeline_roles(&trust_account_root("aws", &tools())), None);
    let deny = json!({"Statement": [{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": role("a").as_str()}]});
    assert_eq!(assume_entries(&deny), None);
    let wide = json!({"Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "s3:*"], "Resource": role("a").as_str()}]});
    assert_eq!(assume_entries(&wide), None);
}

#[test]
fn entries_to_keep_are_read_from_any_form() {
    let condition = json!({"StringEquals": {"aws:PrincipalTag/team": "payments"}});
    let patterns = ["arn:aws:iam::222222222222:role/*", "arn:aws:iam::222222222222:role/x?", "*"];
    for (what, statement, kept) in [
        ("our own form", json!({"Effect": "Allow", "Action": "sts:AssumeRole"}), true),
        ("another action as well", json!({"Effect": "Allow", "Action": ["s3:GetObject", "sts:AssumeRole"]}), true),
        ("another case", json!({"Effect": "Allow", "Action": "STS:assumerole"}), true),
        ("all of the service", json!({"Effect": "Allow", "Action": "sts:*"}), true),
        ("everything", json!({"Effect": "Allow", "Action": "*"}), true),
        ("a pattern", json!({"Effect": "Allow", "Action": "sts:A*e?ole"}), true),
        ("a condition", json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Condition": condition}), true),
        ("all but another", json!({"Effect": "Allow", "NotAction": "iam:*"}), true),
        ("all but this", json!({"Effect": "Allow", "NotAction": ["iam:*", "sts:Assume*"]}), false),
        ("another pattern", json!({"Effect": "Allow", "Action": ["sts:AssumeRole?", "sts:Get*"]}), false),
        ("no action", json!({"Effect": "Allow"}), false),
        ("a deny", json!({"Effect": "Deny", "Action": "sts:AssumeRole"}), false),
    ] {
        let mut with_condition = statement.clone();
        with_condition["Condition"] = condition.clone();
        for mut statement in [statement, with_condition] {
            statement["Resource"] = json!([role("a").as_str(), patterns[0], patterns[1], patterns[2], 5]);
            let expected = if kept { BTreeSet::from([role("a")]) } else { BTreeSet::new() };
            let in_our_form = assume_entries(&json!({"Statement": statement})).unwrap_or_default();
            let found = assume_entries_of_any_form(&json!({"Statement": [statement]}));
            assert_eq!(&found - &(&in_our_form - &expected), expected, "{what}");
        }
    }
}

#[test]
fn sizes_are_those_that_iam_counts() {
    // Figures computed with IAM's rule: a one-statement assume policy with an 81-character ARN.
    let long = arn(&format!("arn:aws:iam::222222222222:role/{}", "r".repeat(50)));
    assert_eq!(long.as_str().len(), 81);
    assert_eq!(size(&assume(&BTreeSet::from([long]))), 178);
    let trust = trust_pipeline_roles("aws", &tools(), &BTreeSet::from([role("a")]));
    assert!(size(&trust) < 2_048);
}

/// Any JSON at all.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z:*/0-9]{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("Statement".to_owned()),
        Just("Action".to_owned()),
        Just("Principal".to_owned()),
        Just("Condition".to_owned()),
        Just("AWS".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A policy document as a person might write it.
fn document() -> impl Strategy<Value = Value> {
    let texts = || prop::collection::vec("[a-z]{1,3}:[A-Za-z*]{1,5}", 1..4);
    let statement = (any::<bool>(), texts(), texts(), prop::collection::vec("[0-9]{12}", 1..3), any::<bool>());
    prop::collection::vec(statement, 1..4).prop_map(|statements| {
        let statements: Vec<Value> = statements
            .into_iter()
            .map(|(allow, actions, resources, accounts, conditional)| {
                let mut statement = json!({
                    "Effect": if allow { "Allow" } else { "Deny" },
                    "Action": actions, "Resource": resources, "Principal": {"AWS": accounts},
                });
                if conditional {
                    statement["Condition"] = json!({"StringEquals": {"aws:PrincipalAccount": accounts}});
                }
                statement
            })
            .collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    })
}

/// What IAM does to a document between taking and returning it: order, one-element arrays, spelling of principals.
fn rewritten(value: &Value, inside_principal: bool) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .rev()
                .map(|(name, value)| (name.clone(), rewritten(value, inside_principal || name == "Principal")))
                .collect(),
        ),
        Value::Array(items) => match items.as_slice() {
            [one] => rewritten(one, inside_principal),
            many => Value::Array(many.iter().rev().map(|item| rewritten(item, inside_principal)).collect()),
        },
        Value::String(account) if inside_principal => json!(format!("arn:aws:iam::{account}:root")),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_iam_rewrites_means_the_same(document in document()) {
        let rewritten = rewritten(&document, false);
        prop_assert!(same_meaning(&document, &rewritten), "{} {}", document, rewritten);
    }

    #[test]
    fn the_canonical_form_is_stable(value in anything()) {
        let once = canonical_value(&value);
        prop_assert_eq!(canonical_value(&once), once);
    }

    #[test]
    fn another_action_or_resource_is_another_meaning(document in document(), index in 0usize..4, member in prop_oneof![Just("Action"), Just("Resource")]) {
        let mut other = document.clone();
        let statements = other["Statement"].as_array_mut().unwrap();
        let index = index % statements.len();
        statements[index][member].as_array_mut().unwrap().push(json!("zzz:NotThereBefore"));
        prop_assert!(!same_meaning(&document, &other));
    }

    #[test]
    fn readers_never_panic(value in anything()) {
        let _ = (assume_entries_of_any_form(&value), assume_entries(&value), invoke_entries(&value), trusted_pipeline_roles(&value), size(&value));
    }
}

#[test]
fn a_role_that_services_alone_may_assume_is_no_invoke_role() {
    let allow = |principal: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    let lambda = || json!({"Service": "lambda.amazonaws.com"});
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"});
    for (statements, expected) in [
        (json!([allow(lambda())]), true),
        (json!(allow(lambda())), true),
        (json!([allow(lambda()), deny]), true),
        (json!([allow(lambda()), allow(json!({"AWS": "111111111111"}))]), false),
        (json!([allow(json!({"Service": "lambda.amazonaws.com", "AWS": "111111111111"}))]), false),
        (json!([allow(json!("*"))]), false),
        (json!([deny]), false),
        (json!([]), false),
    ] {
        assert_eq!(trusts_only_services(&json!({"Statement": statements})), expected, "{statements}");
    }
    assert!(!trusts_only_services(&Value::Null), "one that cannot be read");
}
