//! The types of policies together.

use super::*;

const RCP: &str = "arn:aws:organizations::999999999999:policy/o-1/resource_control_policy/p-rcp";
const SCP: &str = "arn:aws:organizations::999999999999:policy/o-1/service_control_policy/p-scp";

/// All layers over one request, and what AWS says of each.
#[test]
fn every_type_of_policy_has_to_allow_and_none_may_deny() {
    let (everything, nothing) = (allow("*", "*"), allow("s3:*", "*"));
    let deny = policy(json!([{"Effect": "Deny", "Action": "sts:*", "Resource": "*"}]));
    let deny_all = policy(json!([{"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*"}]));
    let deny_other = policy(json!([{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]));
    let open = || Policies {
        resource_control: vec![Policy { arn: Some(RCP), document: &deny_other }],
        service_control: Some(vec![plain(&everything)]),
        identity: Some(vec![plain(&everything)]),
        boundary: Some(plain(&everything)),
        session: Some(vec![plain(&everything)]),
        is_granted_by_resource: false,
    };
    let managed = Policy { arn: Some("arn:aws:iam::111111111111:policy/no"), document: &deny };
    let cases: Vec<(Policies<'_>, Option<&str>)> = vec![
        (open(), None),
        (
            Policies { resource_control: vec![Policy { arn: Some(RCP), document: &deny_all }], ..open() },
            Some(
                "with an explicit deny in a resource control policy: arn:aws:organizations::999999999999:policy/o-1/resource_control_policy/p-rcp",
            ),
        ),
        (
            Policies {
                service_control: Some(vec![plain(&everything), Policy { arn: Some(SCP), document: &deny }]),
                ..open()
            },
            Some(
                "with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-1/service_control_policy/p-scp",
            ),
        ),
        (
            Policies { service_control: Some(vec![plain(&nothing)]), ..open() },
            Some("because no service control policy allows the sts:AssumeRole action"),
        ),
        (
            Policies { identity: Some(vec![plain(&everything), managed]), ..open() },
            Some("with an explicit deny in an identity-based policy: arn:aws:iam::111111111111:policy/no"),
        ),
        (
            Policies { identity: Some(vec![plain(&everything), plain(&deny)]), ..open() },
            Some("with an explicit deny in an identity-based policy"),
        ),
        (
            Policies { identity: Some(vec![]), ..open() },
            Some("because no identity-based policy allows the sts:AssumeRole action"),
        ),
        (
            Policies { boundary: Some(managed), ..open() },
            Some("with an explicit deny in a permissions boundary: arn:aws:iam::111111111111:policy/no"),
        ),
        (
            Policies { boundary: Some(plain(&nothing)), ..open() },
            Some("because no permissions boundary allows the sts:AssumeRole action"),
        ),
        (Policies { session: Some(vec![plain(&deny)]), ..open() }, Some("with an explicit deny in a session policy")),
        (
            Policies { session: Some(vec![plain(&nothing)]), ..open() },
            Some("because no session policy allows the sts:AssumeRole action"),
        ),
        // An explicit deny comes before what merely is not allowed.
        (
            Policies { service_control: Some(vec![plain(&nothing)]), boundary: Some(plain(&deny)), ..open() },
            Some("with an explicit deny in a permissions boundary"),
        ),
        // The root user has no identity policies, and is limited by the organization all the same.
        (Policies { identity: None, boundary: None, session: None, ..open() }, None),
        (
            Policies {
                identity: None,
                boundary: None,
                session: None,
                service_control: Some(vec![plain(&nothing)]),
                ..open()
            },
            Some("because no service control policy allows the sts:AssumeRole action"),
        ),
        // What a resource grants to the caller itself needs no identity policy, but passes the boundary.
        (Policies { identity: Some(vec![]), is_granted_by_resource: true, ..open() }, None),
        (
            Policies {
                identity: Some(vec![]),
                boundary: Some(plain(&nothing)),
                is_granted_by_resource: true,
                ..open()
            },
            Some("because no permissions boundary allows the sts:AssumeRole action"),
        ),
        (
            Policies { identity: Some(vec![plain(&deny)]), is_granted_by_resource: true, ..open() },
            Some("with an explicit deny in an identity-based policy"),
        ),
    ];
    let context = context(&[]);
    let request = Request { action: "sts:AssumeRole", resource: INVOKE, context: &context };
    for (policies, expected) in cases {
        let denial = denial(&policies, &request).unwrap();
        let reason = denial.map(|denial| denial.reason("sts:AssumeRole", true));
        assert_eq!(reason.as_deref(), expected, "{policies:?}");
    }
}

#[test]
fn a_policy_is_named_only_to_callers_who_may_know_it() {
    let denial = Denial { policy: PolicyType::ResourceControl, is_explicit: true, arn: Some(RCP.to_owned()) };
    assert_eq!(denial.reason("sts:AssumeRole", false), "with an explicit deny in a resource control policy");
}

#[test]
fn resource_control_policies_are_about_everybody() {
    let context = context(&[]);
    let request = Request { action: "sts:AssumeRole", resource: INVOKE, context: &context };
    let deny = |members: Value| {
        let mut statement = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"});
        for (name, value) in members.as_object().unwrap() {
            statement[name] = value.clone();
        }
        policy(json!([statement]))
    };
    for (document, expected) in [
        (deny(json!({})), Ok(true)),
        (deny(json!({"Resource": "arn:aws:iam::222222222222:role/other"})), Ok(false)),
        (deny(json!({"Condition": {"StringEquals": {"aws:PrincipalAccount": "222222222222"}}})), Ok(false)),
        (deny(json!({"Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}})), Ok(true)),
        (deny(json!({"Principal": {"AWS": "111111111111"}})), Err("principal is not *")),
        (deny(json!({"NotAction": "sts:*"})), Err("NotAction")),
    ] {
        let policies = Policies { resource_control: vec![plain(&document)], ..Policies::default() };
        let denied = denial(&policies, &request).map(|denial| denial.is_some());
        check(&document.to_string(), denied, expected);
    }
}
