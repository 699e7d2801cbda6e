//! How often a failing call is sent, and whether a change may have been made.

use std::{sync::Arc, time::Duration};

use crossinvoke_harness::TlsFront;
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::{
    DEV, Observed, aws, base, change, config, dev_session, key, put, region,
    stub::{Answer, Stub},
    update,
};
use crate::{
    aws::{Aws, AwsError, AwsErrorKind, CertificateFault, Iam, Session},
    domain::ids::RoleName,
    engine::role::Change,
};

fn role() -> RoleName {
    "r".parse().unwrap()
}

async fn iam(stub: &Stub) -> Iam {
    dev_session(stub).await.iam(&region())
}

/// Deletes the role in a turn of its own.
async fn delete(session: &Session) -> Result<(), AwsError> {
    change(&session.iam(&region()), Change::Delete).await
}

#[tokio::test]
async fn a_change_is_sent_once_and_a_read_twice() {
    let stub = Stub::start(|asked| Answer::error(asked, 503, "ServiceUnavailable", "later")).await;
    let session = dev_session(&stub).await;
    let (iam, pipelines) = (session.iam(&region()), session.codepipeline(&region()));
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
    let changes = [
        change(&iam, Change::SetTrust(json!({}))).await.unwrap_err(),
        change(&iam, put()).await.unwrap_err(),
        change(&iam, Change::Delete).await.unwrap_err(),
        update(&pipelines, &declaration).await.unwrap_err(),
    ];
    for error in changes {
        assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::Unavailable, true), "{error:?}");
        assert_eq!(stub.count(error.operation), 1, "{}", error.operation);
    }
    let read = iam.get_role(&role()).await.unwrap_err();
    assert_eq!((read.kind, read.outcome_unknown), (AwsErrorKind::Unavailable, false));
    assert_eq!(stub.count("GetRole"), 2);
}

#[tokio::test]
async fn a_throttled_change_is_not_repeated() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "Throttling", "Rate exceeded")).await;
    let error = change(&iam(&stub).await, put()).await.unwrap_err();
    assert_eq!((error.kind, error.outcome_unknown), (AwsErrorKind::Throttled, false));
    assert_eq!(stub.count("PutRolePolicy"), 1);
}

#[tokio::test]
async fn a_refusal_tells_who_was_refused() {
    let stub = Stub::start(|asked| {
        let message =
            "User: u is not authorized to perform: iam:DeleteRole on resource: arn:aws:iam::222222222222:role/r";
        Answer::error(asked, 403, "AccessDenied", message)
    })
    .await;
    let error = delete(&dev_session(&stub).await).await.unwrap_err();
    assert!(!error.outcome_unknown);
    let text = error.to_string();
    let expected = "account 222222222222: arn:aws:iam::222222222222:role/crossinvoke may not iam:DeleteRole on \
        arn:aws:iam::222222222222:role/r; allow it";
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn a_status_decides_where_the_code_says_nothing() {
    for (status, code, expected) in [
        (500, "SomethingNew", AwsErrorKind::Unavailable),
        (429, "SomethingNew", AwsErrorKind::Throttled),
        (400, "SomethingNew", AwsErrorKind::Other),
    ] {
        let stub = Stub::start(move |asked| Answer::error(asked, status, code, "new")).await;
        let error = delete(&dev_session(&stub).await).await.unwrap_err();
        assert_eq!(error.kind, expected, "{status}");
    }
    for (status, expected) in [(502, AwsErrorKind::Unavailable), (429, AwsErrorKind::Throttled)] {
        let html = || "<html>Bad Gateway</html>".to_owned();
        let stub = Stub::start(move |_| Answer::Reply { status, kind: "text/html", body: html() }).await;
        let session = dev_session(&stub).await;
        let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
        let error = update(&session.codepipeline(&region()), &declaration).await.unwrap_err();
        assert_eq!(error.kind, expected, "{error:?}");
        let error = delete(&session).await.unwrap_err();
        assert_eq!(error.kind, expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_late_answer_leaves_a_change_in_doubt() {
    let stub = Stub::start(|_| Answer::Never).await;
    let observed = Arc::new(Observed::default());
    let config = super::AwsConfig { attempt_timeout: Duration::from_millis(300), ..config(base(&stub.endpoint)) };
    let session = Aws::new(config, observed.clone()).session(&key(DEV)).await.unwrap();
    let error = delete(&session).await.unwrap_err();
    assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::Unavailable, true), "{error:?}");
    assert_eq!(stub.count("DeleteRole"), 1);
    assert_eq!(observed.all().last().unwrap(), "iam DeleteRole timeout");
}

/// A session whose IAM is somewhere else.
async fn moved(stub: &Stub, endpoint: &str) -> (Session, Arc<Observed>) {
    let (aws, observed) = aws(stub);
    let mut session = aws.session(&key(DEV)).await.unwrap();
    session.clients.config = session.clients.config.into_builder().endpoint_url(endpoint).build();
    (session, observed)
}

async fn hang_up(mut stream: TcpStream) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
}

#[tokio::test]
async fn a_lost_connection_leaves_a_change_in_doubt() {
    let stub = Stub::start(|_| Answer::Never).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        hang_up(listener.accept().await.unwrap().0).await;
        listener
    });
    let (session, observed) = moved(&stub, &endpoint).await;
    let error = delete(&session).await.unwrap_err();
    assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::Unavailable, true), "{error:?}");
    assert_eq!(observed.all().last().unwrap(), "iam DeleteRole dispatch");
    // One attempt: nobody else knocks.
    let listener = accepted.await.unwrap().into_std().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_connection_that_was_never_made_changed_nothing() {
    let stub = Stub::start(|_| Answer::Never).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for endpoint in [format!("http://{closed}"), "http://nowhere.invalid".to_owned()] {
        let (session, _) = moved(&stub, &endpoint).await;
        let error = delete(&session).await.unwrap_err();
        assert_eq!(error.kind, AwsErrorKind::Unavailable, "{endpoint}: {error:?}");
        assert!(!error.outcome_unknown, "{endpoint}: {error:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_by_its_host_and_asked_for_once() {
    let stub = Stub::start(|_| Answer::Never).await;
    let folder = tempfile::tempdir().unwrap();
    let front = TlsFront::start(folder.path(), &stub.endpoint, "127.0.0.1").await.unwrap();
    let (session, _) = moved(&stub, &front.endpoint()).await;
    let (iam, host) = (session.iam(&region()), front.address().to_string());
    let (before, kind) = (
        stub.asked().len(),
        AwsErrorKind::CertificateNotTrusted { host: host.clone(), fault: CertificateFault::Authority },
    );
    for error in [iam.get_role(&role()).await.err().unwrap(), change(&iam, Change::Delete).await.unwrap_err()] {
        assert_eq!((&error.kind, error.outcome_unknown), (&kind, false), "{error:?}");
        let text = error.to_string();
        assert!([DEV, &host, "UnknownIssuer", "SSL_CERT_FILE"].iter().all(|word| text.contains(word)), "{text}");
    }
    assert_eq!(front.connections(), 2, "a call that fails so would fail so again");
    assert_eq!(stub.asked().len(), before, "nothing reached AWS");
}

#[tokio::test]
async fn a_malformed_endpoint_is_an_error() {
    let stub = Stub::start(|_| Answer::Never).await;
    for endpoint in ["not a url", "://", "http://"] {
        let (session, _) = moved(&stub, endpoint).await;
        let error = session.iam(&region()).get_role(&role()).await.unwrap_err();
        assert!(error.to_string().starts_with("account 222222222222: "), "{error}");
    }
}

/// AWS writes it into some of its texts as well.
#[tokio::test]
async fn each_failure_has_its_request_id_last_and_says_the_same_otherwise() {
    let stub = Stub::start(|asked| {
        let text = format!(
            "Rate exceeded (Service: X; Request ID: 77aa-{}; Proxy: null)",
            asked.headers["authorization"].len()
        );
        Answer::error(asked, 400, "ThrottlingException", &text)
    })
    .await;
    let pipelines = dev_session(&stub).await.codepipeline(&region());
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
    let (one, two) =
        (update(&pipelines, &declaration).await.unwrap_err(), update(&pipelines, &declaration).await.unwrap_err());
    assert_eq!(one.message, "Rate exceeded (Service: X; Proxy: null)");
    let (one, two) = (one.to_string(), two.to_string());
    assert!(one.contains(" (request id 6f5b0c3e-") && one.ends_with(')'), "{one}");
    assert_ne!(one, two);
    assert!(crate::domain::conditions::is_same_message(&one, &two));
}
