//! The double as boto3 sees it: starts the Python suite beside this file, in a virtual environment of its own.

use std::{path::Path, process::Command};

#[test]
fn boto3_sees_what_the_rust_sdk_sees() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let website =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(|error| error.to_string())?;
    let (certificate, key) = (folder.path().join("website.pem"), folder.path().join("website.key"));
    std::fs::write(&certificate, website.cert.pem()).map_err(|error| error.to_string())?;
    std::fs::write(&key, website.signing_key.serialize_pem()).map_err(|error| error.to_string())?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut suite = Command::new(fakeaws::python_environment()?);
    suite.args(["-W", "error::ResourceWarning", "-m", "unittest", "discover", "--start-directory"]);
    suite.arg(package.join("tests/boto3"));
    suite.env("FAKEAWS", env!("CARGO_BIN_EXE_fakeaws")).env("FAKEAWS_SEED", package.join("tests/seed.json"));
    // Nothing of the developer's own AWS set-up may leak in.
    for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"] {
        suite.env_remove(variable);
    }
    suite.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    suite.env("AWS_EC2_METADATA_DISABLED", "true").env("PYTHONDONTWRITEBYTECODE", "1");
    // The page that the example's handler looks at is served over TLS.
    suite.env("WEBSITE_CERTIFICATE", &certificate).env("WEBSITE_KEY", &key);
    let output = suite.output().map_err(|error| format!("cannot start {suite:?}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("the boto3 suite failed:\n{out}\n{err}")) }
}
