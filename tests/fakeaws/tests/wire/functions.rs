//! Lambda functions as far as they are looked up.

use aws_sdk_lambda::{
    primitives::Blob,
    types::{FunctionCode, Runtime},
};
use serde_json::json;

use crate::support::{DEV, DEV_ROOT, READER, TOOLS_ROOT, allow, config, key, lambda, refusal, start};

const EXECUTION: &str = "arn:aws:iam::222222222222:role/execution";

#[tokio::test]
async fn a_function_is_found_by_name_and_by_arn() {
    let aws = start().await;
    let lambda = lambda(&aws, DEV_ROOT);
    let arn = "arn:aws:lambda:us-east-1:222222222222:function:MyFunction";
    for name in ["MyFunction", arn] {
        let found = lambda.get_function_configuration().function_name(name).send().await.unwrap();
        assert_eq!((found.function_arn(), found.role()), (Some(arn), Some(EXECUTION)));
        let found = lambda.get_function().function_name(name).send().await.unwrap();
        assert_eq!(found.configuration().unwrap().function_name(), Some("MyFunction"));
    }
}

#[tokio::test]
async fn functions_belong_to_account_and_region() {
    let aws = start().await;
    let elsewhere = config(&aws, key(DEV_ROOT)).into_builder().region(aws_config::Region::new("eu-west-1")).build();
    for client in [lambda(&aws, TOOLS_ROOT), aws_sdk_lambda::Client::new(&elsewhere)] {
        let (status, code, message) =
            refusal(client.get_function_configuration().function_name("MyFunction").send().await);
        assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
        assert!(message.starts_with("Function not found: arn:aws:lambda:"), "{message}");
        assert!(client.list_functions().send().await.unwrap().functions().is_empty());
    }
}

#[tokio::test]
async fn a_function_can_be_made_once_and_needs_a_role_that_lambda_can_assume() {
    let aws = start().await;
    let lambda = lambda(&aws, DEV_ROOT);
    let create = |name: &str, role: &str| {
        let code = FunctionCode::builder().zip_file(Blob::new(*b"zip")).build();
        let call = lambda.create_function().function_name(name).role(role).code(code).tags("team", "payments");
        call.runtime(Runtime::Python312).handler("app.handler").timeout(30).send()
    };
    let made = create("Made", EXECUTION).await.unwrap();
    assert_eq!((made.timeout(), made.handler()), (Some(30), Some("app.handler")));
    let found = lambda.get_function().function_name("Made").send().await.unwrap();
    assert_eq!(found.tags().unwrap()["team"], "payments");
    let (status, code, _) = refusal(create("Made", EXECUTION).await);
    assert_eq!((status, code.as_str()), (409, "ResourceConflictException"));
    for role in ["arn:aws:iam::222222222222:role/nobody", "arn:aws:iam::222222222222:role/crossinvoke"] {
        assert_eq!(refusal(create("Other", role).await).1, "InvalidParameterValueException", "{role}");
    }
}

#[tokio::test]
async fn functions_are_listed_in_pages() {
    let aws = start().await;
    for n in 0..60 {
        aws.admin().put_function(DEV, "us-east-1", &format!("f{n:02}"), json!({"role": EXECUTION})).unwrap();
    }
    let lambda = lambda(&aws, DEV_ROOT);
    let first = lambda.list_functions().send().await.unwrap();
    assert_eq!(first.functions().len(), 50);
    let rest = lambda.list_functions().marker(first.next_marker().unwrap()).send().await.unwrap();
    assert_eq!(rest.functions().len(), 11);
    assert_eq!(rest.next_marker(), None);
}

/// A list has the configuration without the state, a page 50 functions at most, and no function twice for its aliases.
#[tokio::test]
async fn a_list_leaves_out_the_state_and_knows_no_aliases() {
    let aws = start().await;
    let lambda = lambda(&aws, DEV_ROOT);
    lambda.create_alias().function_name("MyFunction").name("live").function_version("$LATEST").send().await.unwrap();
    let alone = lambda.get_function_configuration().function_name("MyFunction").send().await.unwrap();
    let listed = lambda.list_functions().max_items(10_000).send().await.unwrap();
    let [function] = listed.functions() else { panic!("{listed:?}") };
    assert_eq!((function.function_arn(), function.role()), (alone.function_arn(), alone.role()));
    assert!(alone.state().is_some() && alone.last_update_status().is_some());
    assert_eq!((function.state(), function.last_update_status()), (None, None));
    for n in 0..60 {
        aws.admin().put_function(DEV, "us-east-1", &format!("f{n:02}"), json!({"role": EXECUTION})).unwrap();
    }
    for (asked, got) in [(1, 1), (50, 50), (10_000, 50)] {
        assert_eq!(lambda.list_functions().max_items(asked).send().await.unwrap().functions().len(), got, "{asked}");
    }
    for size in [0, 10_001] {
        assert_eq!(refusal(lambda.list_functions().max_items(size).send().await).1, "ValidationException");
    }
    assert_eq!(refusal(lambda.list_functions().marker("later").send().await).1, "InvalidParameterValueException");
    let versions = lambda.list_functions().function_version(aws_sdk_lambda::types::FunctionVersion::All);
    assert_eq!(refusal(versions.send().await).0, 500);
}

#[tokio::test]
async fn a_list_needs_its_own_right() {
    let aws = start().await;
    let call = || crate::support::lambda(&aws, READER).list_functions().send();
    let (status, code, message) = refusal(call().await);
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    assert!(message.contains("lambda:ListFunctions on resource: *"), "{message}");
    aws.admin().put_inline_policy(DEV, "reader", "bulk", allow("lambda:ListFunctions", "*")).unwrap();
    call().await.unwrap();
}

#[tokio::test]
async fn a_removed_function_is_gone() {
    let aws = start().await;
    aws.admin().remove_function(DEV, "us-east-1", "MyFunction").unwrap();
    let lambda = lambda(&aws, DEV_ROOT);
    let outcome = lambda.get_function().function_name("MyFunction").send().await;
    assert_eq!(refusal(outcome).1, "ResourceNotFoundException");
}
