//! Values that cannot be used, and what every policy must keep to.

use super::{policy::pieces, *};

const SUBJECTS: [Subject; 4] = [Subject::Controller, Subject::Tools, Subject::Dev, Subject::Boundary];

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn refusal(subject: Subject, given: &Given) -> String {
    Values::new(subject, given).map_or_else(|error| error.to_string(), |values| panic!("{values:?} is taken"))
}

/// Values, and what is said about them.
type Refused = (Subject, fn(&mut Given), &'static [&'static str]);

#[test]
fn a_value_that_cannot_be_used_is_named_with_what_to_write_instead() {
    use Subject::{Boundary, Controller, Dev, Tools};
    const REFUSED: &[Refused] = &[
        (Dev, |it| it.partition = Some("amazon".to_owned()), &["--partition amazon", "such as aws"]),
        (Dev, |it| it.partition = Some("aws-".to_owned()), &["--partition aws-"]),
        (Dev, |it| it.account_ids = texts(&["22222222222"]), &["--account-id 22222222222", "twelve digits"]),
        (Dev, |it| it.account_ids = texts(&["222222222222", "333333333333"]), &["333333333333", "--for controller"]),
        (Dev, |it| it.functions = texts(&["MyFunction:live"]), &["--function MyFunction:live", "such as"]),
        (Dev, |it| it.functions = texts(&["arn:aws:lambda:us-east-1:2:function:f"]), &["--function arn"]),
        (Dev, |it| it.functions = texts(&[""]), &["--function"]),
        (Tools, |it| it.pipelines = texts(&["a b"]), &["--pipeline a b"]),
        (Tools, |it| it.pipelines = vec!["p".repeat(101)], &["100 characters"]),
        (Tools, |it| it.pipeline_role_arns = texts(&["Release"]), &["--pipeline-role-arn Release", "is not an ARN"]),
        (Tools, |it| it.pipeline_role_arns = texts(&["arn:aws:iam::1:role/r"]), &["the ARN of a role"]),
        (Tools, |it| it.pipeline_role_arns = texts(&["arn:aws:iam::111111111111:user/r"]), &["the ARN of a role"]),
        (Tools, |it| it.pipeline_role_arns = texts(&["arn:aws-cn:iam::111111111111:role/r"]), &["--partition aws-cn"]),
        (
            Tools,
            |it| {
                it.account_ids = texts(&["111111111111"]);
                it.pipeline_role_arns = texts(&["arn:aws:iam::222222222222:role/r"]);
            },
            &["account 222222222222", "--account-id is 111111111111"],
        ),
        (Tools, |it| it.connection_arns = texts(&["arn:aws:codebuild:x:111111111111:connection/1"]), &["a connection"]),
        (Controller, |it| it.controller_arn = Some("x".to_owned()), &["--for controller", "tools and dev"]),
        (Dev, |it| it.controller_arn = Some("arn:aws:iam::333333333333:root".to_owned()), &["one role or user"]),
        (Dev, |it| it.controller_arn = Some("arn:aws:iam::333333333333:role/*".to_owned()), &["one role or user"]),
        (Dev, |it| it.boundary_arn = Some("arn:aws:iam::222222222222:policy/*".to_owned()), &["one managed policy"]),
        (Dev, |it| it.role_path = Some("crossinvoke".to_owned()), &["--role-path crossinvoke"]),
        (Tools, |it| it.functions = texts(&["f"]), &["--function f", "--for tools", "dev and boundary"]),
        (Dev, |it| it.pipelines = texts(&["p"]), &["--pipeline p", "only to tools"]),
        (Boundary, |it| it.bulk_reads = true, &["--bulk-reads", "tools and dev"]),
        (Tools, |it| it.without_boundary = true, &["--without-boundary", "only to dev"]),
    ];
    for (subject, change, parts) in REFUSED {
        let mut given = Given::default();
        change(&mut given);
        let refusal = refusal(*subject, &given);
        for part in *parts {
            assert!(refusal.contains(part), "{part:?} is not in: {refusal}");
        }
    }
}

#[test]
fn no_value_lets_the_controller_grant_rights_to_itself() {
    for pattern in ["role/*", "role/cross*", "role/crossinvoke", "role/*invoke"] {
        let arn = texts(&[&format!("arn:aws:iam::222222222222:{pattern}")]);
        let given = Given { execution_role_arns: arn.clone(), ..Given::default() };
        assert!(refusal(Subject::Dev, &given).contains("grant itself any right"), "{pattern}");
        let given = Given { pipeline_role_arns: arn, ..Given::default() };
        assert!(refusal(Subject::Tools, &given).contains("grant itself any right"), "{pattern}");
    }
    for path in ["/", "/*/"] {
        let given = Given { role_path: Some(path.to_owned()), ..Given::default() };
        assert!(refusal(Subject::Dev, &given).contains("could change whom other roles trust"), "{path}");
    }
}

#[test]
fn a_connection_is_granted_under_both_names_of_its_service() {
    for name in ["codeconnections", "codestar-connections"] {
        let given = Given {
            connection_arns: vec![format!("arn:aws:{name}:us-east-1:111111111111:connection/1f")],
            ..Given::default()
        };
        let values = Values::new(Subject::Tools, &given).unwrap();
        let both = ["codeconnections", "codestar-connections"]
            .map(|name| format!("arn:aws:{name}:us-east-1:111111111111:connection/1f"));
        assert_eq!(values.of(List::Connections), both);
    }
}

#[test]
fn the_controller_enters_each_account_that_is_given() {
    let given = Given { account_ids: texts(&["222222222222", "111111111111", "222222222222"]), ..Given::default() };
    let rendered = policy(Subject::Controller, &Values::new(Subject::Controller, &given).unwrap());
    assert!(rendered.missing.is_empty());
    let roles = ["111111111111", "222222222222"].map(|id| format!("arn:aws:iam::{id}:role/crossinvoke"));
    assert_eq!(rendered.document["Statement"][0]["Resource"], serde_json::json!(roles));
}

#[test]
fn bulk_reads_are_granted_only_on_demand() {
    for (subject, actions) in [(Subject::Tools, 1), (Subject::Dev, 2)] {
        let of = |bulk_reads| {
            let values = Values::new(subject, &Given { bulk_reads, ..Given::default() }).unwrap();
            policy(subject, &values).document["Statement"].as_array().cloned().unwrap()
        };
        let (without, with) = (of(false), of(true));
        assert_eq!(with[..without.len()], without);
        let added = &with[without.len()];
        assert_eq!((&added["Sid"], &added["Resource"]), (&"BulkReads".into(), &"*".into()));
        assert_eq!(added["Action"].as_array().map_or(1, Vec::len), actions);
    }
}

#[test]
fn statements_have_names_of_their_own_and_pass_roles_only_to_a_service() {
    for subject in SUBJECTS {
        let statements = statements(subject, true, true);
        let mut names: Vec<&str> = statements.iter().map(|statement| statement.sid).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{subject:?}");
        for statement in &statements {
            let passes = statement.actions.contains(&"iam:PassRole");
            assert_eq!(passes, matches!(statement.condition, Some(Condition::PassedToService(_))), "{}", statement.sid);
            assert!(!passes || statement.actions.len() == 1, "{}", statement.sid);
            assert!(statement.actions.iter().all(|action| !action.contains('*')), "{}", statement.sid);
            // Only what supports no resource is allowed on everything.
            if statement.resources == Resource::Fixed(&["*"]) {
                assert!(["ListFunctions", "ListRoles", "BulkReads"].contains(&statement.sid), "{}", statement.sid);
            }
        }
    }
}

/// Of everything that the statements allow on roles, what changes a role is denied on the controller's own.
#[test]
fn every_change_of_a_role_is_denied_on_the_controllers_own() {
    const READS_AND_CREATION: [&str; 3] = ["iam:Get", "iam:List", "iam:CreateRole"];
    for subject in [Subject::Tools, Subject::Dev] {
        let statements = statements(subject, false, true);
        let (denying, allowing): (Vec<_>, Vec<_>) =
            statements.iter().partition(|statement| statement.effect == Effect::Deny);
        let [deny] = denying[..] else { panic!("{denying:?}") };
        assert_eq!((deny.sid, deny.condition), ("NeverOnItself", None));
        let changes = allowing.iter().flat_map(|statement| &statement.actions).filter(|action| {
            action.starts_with("iam:")
                && **action != "iam:PassRole"
                && !READS_AND_CREATION.iter().any(|read| action.starts_with(read))
        });
        for action in changes {
            assert!(deny.actions.contains(action), "{subject:?}: {action}");
        }
        let rendered = policy(subject, &Values::new(subject, &Given::default()).unwrap()).document;
        let rendered = rendered["Statement"].as_array().unwrap().iter().find(|it| it["Effect"] == "Deny").cloned();
        let account = subject.account_placeholder();
        let itself = ["", "*/"].map(|path| format!("arn:aws:iam::{account}:role/{path}crossinvoke"));
        assert_eq!(rendered.unwrap()["Resource"], serde_json::json!(itself));
    }
}

#[test]
fn a_text_is_cut_at_its_names() {
    use super::policy::Piece::{Name, Text};
    assert_eq!(pieces("a${B}c${D}"), [Text("a"), Name("B"), Text("c"), Name("D")]);
    assert_eq!(pieces("*"), [Text("*")]);
}
