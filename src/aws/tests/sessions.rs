//! Sessions: how often STS is asked, and what happens when it says no.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future};
use crossinvoke_harness::TlsFront;
use futures::future::join_all;

use super::{
    DEV, aws, base, config, key, region,
    stub::{Answer, Asked, Stub, sts},
};
use crate::aws::{Aws, AwsErrorKind, CertificateFault, SessionKey, session::load};

fn absent(asked: &Asked) -> Answer {
    Answer::error(asked, 404, "NoSuchEntity", "no such role")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_users_of_three_accounts_in_two_regions_assume_three_roles() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    let users = (0..300).map(|number| {
        let (aws, account) = (aws.clone(), ["111111111111", DEV, "333333333333"][number % 3]);
        tokio::spawn(async move {
            let session = aws.session(&key(account)).await.unwrap();
            assert_eq!(session.account().as_str(), account);
            let region = ["us-east-1", "eu-central-1"][number % 2].parse().unwrap();
            session.iam(&region).get_role(&"r".parse().unwrap()).await.unwrap()
        })
    });
    assert!(join_all(users).await.into_iter().all(|role| role.unwrap().is_none()));
    assert_eq!((stub.count("AssumeRole"), stub.count("GetCallerIdentity"), stub.count("GetRole")), (3, 3, 300));
}

#[tokio::test]
async fn a_hundred_accounts_in_three_rounds_assume_a_hundred_roles() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    for _ in 0..3 {
        for number in 0..100 {
            let account = format!("{number:012}");
            let session = aws.session(&key(&account)).await.unwrap();
            session.iam(&region()).get_role(&"r".parse().unwrap()).await.unwrap();
        }
    }
    assert_eq!((stub.count("AssumeRole"), stub.count("GetCallerIdentity"), stub.count("GetRole")), (100, 100, 300));
    // Clients come and go with every call; their connections stay.
    assert!(stub.connections() < 10, "{} connections for 500 calls in turn", stub.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_makes_one_more_session_however_many_find_out() {
    let stub = Stub::start(|asked| {
        if asked.access_key.ends_with("0000") {
            return Answer::error(asked, 403, "ExpiredToken", "The security token included in the request is expired");
        }
        absent(asked)
    })
    .await;
    let (aws, observed) = aws(&stub);
    let old = aws.session(&key(DEV)).await.unwrap();
    let name = "r".parse().unwrap();
    let first = old.iam(&region()).get_role(&name).await.unwrap_err();
    assert_eq!(first.kind, AwsErrorKind::ExpiredToken);
    let users = (0..50).map(|_| {
        let (aws, old, name) = (aws.clone(), old.clone(), "r".parse().unwrap());
        tokio::spawn(async move {
            // Some still hold the old session and find out late.
            old.iam(&region()).get_role(&name).await.unwrap_err();
            aws.session(&key(DEV)).await.unwrap().iam(&region()).get_role(&name).await.unwrap()
        })
    });
    for user in join_all(users).await {
        assert_eq!(user.unwrap(), None);
    }
    assert_eq!((stub.count("AssumeRole"), stub.count("GetCallerIdentity")), (2, 2));
    assert!(observed.all().contains(&"iam GetRole ExpiredToken".to_owned()), "{:?}", observed.all());
}

/// The role was deleted and made again: AWS no longer knows the key of the old session.
#[tokio::test]
async fn a_session_of_a_role_that_was_made_again_is_opened_again() {
    for (code, expected) in [
        ("InvalidClientTokenId", AwsErrorKind::ExpiredToken),
        ("UnrecognizedClientException", AwsErrorKind::ExpiredToken),
    ] {
        let stub = Stub::start(move |asked| {
            if asked.access_key.ends_with("0000") {
                let message = "The security token included in the request is invalid.";
                return Answer::error(asked, 403, code, message);
            }
            absent(asked)
        })
        .await;
        let (aws, _) = aws(&stub);
        let name = "r".parse().unwrap();
        let first = aws.session(&key(DEV)).await.unwrap().iam(&region()).get_role(&name).await.unwrap_err();
        assert_eq!(first.kind, expected, "{code}");
        assert_eq!(aws.session(&key(DEV)).await.unwrap().iam(&region()).get_role(&name).await.unwrap(), None);
        assert_eq!(stub.count("AssumeRole"), 2, "{code}");
    }
}

#[tokio::test]
async fn a_denied_call_opens_a_session_again_once_and_not_at_every_look() {
    let stub = Stub::start(|asked| Answer::error(asked, 403, "AccessDenied", "no")).await;
    let (aws, _) = aws(&stub);
    let name = "r".parse().unwrap();
    for _ in 0..5 {
        let error = aws.session(&key(DEV)).await.unwrap().iam(&region()).get_role(&name).await.unwrap_err();
        assert!(matches!(error.kind, AwsErrorKind::AccessDenied { .. }), "{error:?}");
    }
    assert_eq!((stub.count("AssumeRole"), stub.count("GetRole")), (2, 5));
}

#[tokio::test]
async fn whoever_finds_out_late_drops_no_session_but_the_old_one() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    let old = aws.session(&key(DEV)).await.unwrap();
    for _ in 0..2 {
        aws.drop_session(&key(DEV), &old).await;
        aws.session(&key(DEV)).await.unwrap();
        assert_eq!(stub.count("AssumeRole"), 2);
    }
}

#[tokio::test]
async fn a_forgotten_session_is_opened_anew() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    aws.session(&key(DEV)).await.unwrap();
    aws.forget(&key(DEV)).await;
    aws.session(&key(DEV)).await.unwrap();
    assert_eq!(stub.count("AssumeRole"), 2);
}

#[tokio::test]
async fn a_session_is_named_limited_and_opened_with_the_external_id() {
    let stub = Stub::start(absent).await;
    let (aws, observed) = aws(&stub);
    let session = aws.session(&key(DEV)).await.unwrap();
    assert_eq!(session.caller_arn(), "arn:aws:sts::222222222222:assumed-role/crossinvoke/crossinvoke-test");
    let asked = stub.one("AssumeRole");
    assert_eq!(asked.value("ExternalId").unwrap(), "secret-handshake");
    assert_eq!(asked.value("RoleSessionName").unwrap(), "crossinvoke-test");
    assert_eq!(asked.value("DurationSeconds").unwrap(), "3600");
    assert_eq!((asked.access_key.as_str(), asked.region.as_str()), ("AKIAOWN", "eu-west-1"));
    assert_eq!(observed.all(), ["sts AssumeRole ok", "sts GetCallerIdentity ok"]);
    assert!(!format!("{:?}", key(DEV)).contains("handshake"));
}

#[tokio::test]
async fn without_a_role_the_own_identity_is_used() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    let own = |account: &str| SessionKey { account: account.parse().unwrap(), role: None, external_id: None };
    let session = aws.session(&own("999999999999")).await.unwrap();
    assert!(session.caller_arn().starts_with("arn:aws:sts::999999999999:"));
    assert_eq!((stub.count("AssumeRole"), stub.one("GetCallerIdentity").access_key.as_str()), (0, "AKIAOWN"));
    let error = aws.session(&own(DEV)).await.err().unwrap();
    assert_eq!(error.kind, AwsErrorKind::AccountMismatch { found: "999999999999".to_owned() });
}

#[tokio::test]
async fn a_role_of_another_account_opens_nothing() {
    let stub = Stub::start(absent).await;
    let (aws, _) = aws(&stub);
    let crossed = SessionKey { account: "111111111111".parse().unwrap(), ..key(DEV) };
    let error = aws.session(&crossed).await.err().unwrap();
    assert_eq!(error.kind, AwsErrorKind::AccountMismatch { found: DEV.to_owned() });
    let text = error.to_string();
    assert!(text.contains("account 111111111111") && text.contains("belongs to account 222222222222"), "{text}");
}

#[tokio::test]
async fn sts_is_asked_in_the_partition_of_the_role() {
    for (partition, expected) in [
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-eusc", "eusc-de-east-1"),
        ("aws-iso-b", "us-isob-east-1"),
        ("aws", "eu-west-1"),
        // Nobody knows it yet: the process runs in one of its regions then.
        ("aws-new", "eu-west-1"),
    ] {
        let stub = Stub::start(absent).await;
        let role = format!("arn:{partition}:iam::{DEV}:role/crossinvoke").parse().unwrap();
        aws(&stub).0.session(&SessionKey { role: Some(role), ..key(DEV) }).await.unwrap();
        let regions: Vec<_> = stub.asked().into_iter().map(|asked| asked.region).collect();
        assert_eq!(regions, [expected, expected], "{partition}");
    }
}

#[tokio::test]
async fn a_refused_role_is_no_network_fault_and_is_tried_again() {
    let refused = AtomicBool::new(false);
    let stub = Stub::start_raw(move |asked| {
        if refused.swap(true, Ordering::SeqCst) {
            return sts(asked);
        }
        let message = "User: arn:aws:sts::999999999999:assumed-role/controller/s is not authorized to perform: \
            sts:AssumeRole on resource: arn:aws:iam::222222222222:role/crossinvoke";
        Answer::error(asked, 403, "AccessDenied", message)
    })
    .await;
    let (aws, observed) = aws(&stub);
    let error = aws.session(&key(DEV)).await.err().unwrap();
    assert_eq!((&error.kind, error.code.as_deref()), (&AwsErrorKind::AssumeRoleDenied, Some("AccessDenied")));
    let text = error.to_string();
    assert!(text.starts_with("account 222222222222: the controller cannot assume arn:aws:iam::222222222222:role/"));
    assert!(text.contains("assumed-role/controller") && !text.contains("handshake"), "{text}");
    aws.session(&key(DEV)).await.unwrap();
    assert_eq!(observed.all()[0], "sts AssumeRole AccessDenied");
}

#[tokio::test]
async fn a_bad_external_id_is_not_quoted() {
    let stub = Stub::start_raw(|asked| {
        let message =
            "1 validation error detected: Value 'secret-handshake' at 'externalId' failed to satisfy constraint";
        Answer::error(asked, 400, "ValidationError", message)
    })
    .await;
    let error = aws(&stub).0.session(&key(DEV)).await.err().unwrap();
    assert_eq!(error.kind, AwsErrorKind::AssumeRoleDenied);
    assert!(error.to_string().contains("'externalId'") && !format!("{error:?}").contains("handshake"), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_shared_by_those_who_wait_for_it() {
    let stub = Stub::start_raw(|asked| Answer::error(asked, 403, "AccessDenied", "no")).await;
    let (aws, _) = aws(&stub);
    let (one, two) = (key(DEV), key(DEV));
    let answers = tokio::join!(aws.session(&one), aws.session(&two));
    assert!(answers.0.is_err() && answers.1.is_err());
    assert_eq!(stub.count("AssumeRole"), 1);
}

#[derive(Debug)]
struct Provider(fn() -> CredentialsError);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_told_from_a_network_fault() {
    let stub = Stub::start(absent).await;
    let unreachable = || {
        let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
        CredentialsError::provider_error(aws_smithy_runtime_api::client::result::ConnectorError::io(source.into()))
    };
    let table: [(fn() -> CredentialsError, AwsErrorKind); 5] = [
        (|| CredentialsError::not_loaded("no providers in chain provided credentials"), AwsErrorKind::NoCredentials),
        (|| CredentialsError::invalid_configuration("profile broken"), AwsErrorKind::NoCredentials),
        (
            || CredentialsError::provider_error(std::io::Error::from(std::io::ErrorKind::NotFound)),
            AwsErrorKind::NoCredentials,
        ),
        (|| CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)), AwsErrorKind::Unavailable),
        (unreachable, AwsErrorKind::Unavailable),
    ];
    for (fails, expected) in table {
        let provider = SharedCredentialsProvider::new(Provider(fails));
        let base = base(&stub.endpoint).into_builder().credentials_provider(provider).build();
        let aws = Aws::new(config(base), std::sync::Arc::new(super::Observed::default()));
        for key in [key(DEV), SessionKey { role: None, ..key(DEV) }] {
            let error = aws.session(&key).await.err().unwrap();
            assert_eq!(error.kind, expected, "{error:?}");
        }
    }
    assert_eq!(stub.asked().len(), 0);
}

#[tokio::test]
async fn expired_own_credentials_are_nothing_to_hurry_about() {
    let stub = Stub::start_raw(|asked| Answer::error(asked, 403, "ExpiredToken", "expired")).await;
    let error = aws(&stub).0.session(&key(DEV)).await.err().unwrap();
    assert_eq!(error.kind, AwsErrorKind::NoCredentials);
}

#[tokio::test]
async fn a_throttled_sts_is_asked_twice() {
    let calls = AtomicUsize::new(0);
    let stub = Stub::start_raw(move |asked| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::error(asked, 400, "Throttling", "Rate exceeded"),
        _ => sts(asked),
    })
    .await;
    aws(&stub).0.session(&key(DEV)).await.unwrap();
    assert_eq!(stub.count("AssumeRole"), 2);
}

#[allow(deprecated, reason = "the loader's own type for profiles in memory")]
async fn loaded(profile: &str) -> Result<aws_config::SdkConfig, String> {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let profile = format!("[default]\nregion = eu-west-3\n{profile}\n");
    let files = ProfileFiles::builder().with_contents(ProfileFileKind::Config, profile).build();
    load(aws_config::defaults(BehaviorVersion::latest()).profile_files(files)).await
}

/// The process's own credentials come from STS too, which the SDK asks by itself.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_no_lack_of_credentials() {
    let stub = Stub::start(absent).await;
    let folder = tempfile::tempdir().unwrap();
    let front = TlsFront::start(folder.path(), &stub.endpoint, "127.0.0.1").await.unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token").unwrap();
    let profile = format!(
        "role_arn = arn:aws:iam::{DEV}:role/own\nweb_identity_token_file = {}\nendpoint_url = {}",
        token.display(),
        front.endpoint()
    );
    let aws = Aws::new(config(loaded(&profile).await.unwrap()), std::sync::Arc::new(super::Observed::default()));
    let error = aws.session(&key(DEV)).await.err().unwrap();
    let (host, fault) = (front.address().to_string(), CertificateFault::Authority);
    assert_eq!(error.kind, AwsErrorKind::CertificateNotTrusted { host, fault }, "{error:?}");
    assert_eq!(stub.asked().len(), 0);
}

#[tokio::test]
async fn retry_settings_that_the_loader_panics_on_do_no_harm() {
    for bad in ["max_attempts = 0", "max_attempts = many", "retry_mode = sometimes"] {
        assert_eq!(loaded(bad).await.unwrap().region().unwrap().as_ref(), "eu-west-3", "{bad}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused_by_name() {
    for bad in ["", "localhost", "://", "http://", "not a url"] {
        let error = loaded(&format!("endpoint_url = {bad}")).await.unwrap_err();
        assert!(error.starts_with(&format!("the endpoint {bad:?} configured for STS is no URL")), "{error}");
    }
    let of_one_service = "services = here\n[services here]\ncodepipeline =\n  endpoint_url = nowhere";
    let error = loaded(of_one_service).await.unwrap_err();
    assert!(error.contains("CodePipeline") && error.contains("AWS_ENDPOINT_URL_CODEPIPELINE"), "{error}");
    assert!(loaded("endpoint_url = http://127.0.0.1:4566").await.is_ok());
    assert!(loaded("").await.is_ok());
}
