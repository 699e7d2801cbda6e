//! Endpoints of AWS behind a certificate that only a private authority vouches for.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, TlsFront, objects::condition};

use crate::{
    suite::{Case, case},
    support::{entered, message, refused},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![case("a_certificate_that_is_not_trusted_is_named_until_it_is", unstarted, until_it_is_trusted)]
}

fn unstarted() -> Setup {
    Setup::default().without_controller()
}

async fn until_it_is_trusted(scenario: &mut Scenario<'_>) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder")?;
    let front = TlsFront::start(folder.path(), &scenario.aws_endpoint(), "127.0.0.1").await?;
    let (endpoint, host) = (front.endpoint(), front.address().to_string());
    let authority = front.authority().display().to_string();
    let (account, dev) = (format!("{}-dev", scenario.namespace), scenario.accounts.dev.clone());

    scenario.set_environment([("AWS_ENDPOINT_URL_STS", endpoint.as_str())]);
    scenario.start_controller().await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let object = scenario.until_account_reason(&account, "CertificateNotTrusted").await?;
    let said = message(&object);
    let words = [dev.as_str(), "sts AssumeRole", &host, "UnknownIssuer", "SSL_CERT_FILE", "extraVolumes"];
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert_eq!(condition(&object, "Stalled"), Some(("True", "CertificateNotTrusted")));
    refused(scenario, "validate", "CertificateNotTrusted", &["sts AssumeRole", &host, "SSL_CERT_FILE"]).await?;

    // The session is opened, and one service is behind it.
    scenario.set_environment([("AWS_ENDPOINT_URL_LAMBDA", endpoint.as_str())]);
    scenario.restart_controller().await?;
    entered(scenario).await?;
    refused(scenario, "validate", "CertificateNotTrusted", &[&dev, "lambda Get", &host, "SSL_CERT_FILE"]).await?;

    // A trusted authority does not help where the name is another one, and then nobody is sent to look at authorities.
    let folder = tempfile::tempdir().context("a folder")?;
    let misnamed = TlsFront::start(folder.path(), &scenario.aws_endpoint(), "sts.example.com").await?;
    let (elsewhere, vouched) = (misnamed.endpoint(), misnamed.authority().display().to_string());
    scenario.set_environment([("AWS_ENDPOINT_URL_STS", elsewhere.as_str()), ("SSL_CERT_FILE", vouched.as_str())]);
    scenario.restart_controller().await?;
    let words = ["sts AssumeRole", "sts.example.com", "correct AWS_ENDPOINT_URL"];
    refused(scenario, "validate", "CertificateNotTrusted", &words).await?;

    // One authority is in the file, and another one in the folder beside it, as the image's own are.
    let beside = tempfile::tempdir().context("a folder")?;
    let iam = TlsFront::start(beside.path(), &scenario.aws_endpoint(), "127.0.0.1").await?;
    let (iam_endpoint, others) = (iam.endpoint(), beside.path().display().to_string());
    let trusted = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("SSL_CERT_FILE", authority.as_str()),
        ("AWS_ENDPOINT_URL_IAM", iam_endpoint.as_str()),
        ("SSL_CERT_DIR", others.as_str()),
    ];
    scenario.set_environment(trusted);
    scenario.restart_controller().await?;
    entered(scenario).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await
}
