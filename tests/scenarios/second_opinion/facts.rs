//! The facts that crossinvoke relies on (`make aws-facts`), asked of moto.

use std::path::PathBuf;

use crossinvoke_harness::{Context as _, Moto, Result, repository};

/// moto answers what it can be asked as AWS is documented to, and is not asked the rest, for the reasons in the table of
/// docs/second-opinion.md.
pub(super) async fn of_moto(_: PathBuf) -> Result<()> {
    let moto = tokio::task::spawn_blocking(Moto::start).await.context("starting moto")??;
    let mut command = tokio::process::Command::new(Moto::python()?);
    command.arg("-B").arg(repository().join("tests/aws-facts/run.py"));
    command.args(["--place", "moto", "--endpoint", moto.endpoint()]).kill_on_drop(true);
    // Nothing of the developer's own AWS set-up may leak in.
    for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"] {
        command.env_remove(variable);
    }
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let asked = command.env("AWS_EC2_METADATA_DISABLED", "true").output().await.context("asking the facts")?;
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{said}{}", String::from_utf8_lossy(&asked.stderr));

    let (mut agree, mut not_tried) = (0, 0);
    let mut lines = said.lines();
    for (fact, expected, reason) in table()? {
        let line = lines.next().unwrap_or_default();
        if let Some(reason) = reason {
            assert_eq!(line, format!("not tried  {fact}: {reason}"));
            not_tried += 1;
        } else {
            assert_eq!(line, format!("agree      {fact}: {expected}"));
            agree += 1;
        }
    }
    assert_eq!(lines.next(), Some(format!("{agree} agree, 0 differs, {not_tried} not tried").as_str()));
    assert!(agree >= 4, "fewer facts are asked of moto than once were:\n{said}");
    Ok(())
}

/// Each fact of the documentation: its name, what is expected, and why moto is not asked.
fn table() -> Result<Vec<(String, String, Option<String>)>> {
    let page =
        std::fs::read_to_string(repository().join("docs/second-opinion.md")).context("docs/second-opinion.md")?;
    let facts = page.split("<!-- facts -->").nth(1).unwrap_or_default();
    let facts = facts.split("<!-- end of facts -->").next().unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let reason = cells[5].split("; ").find_map(|place| place.strip_prefix("moto: "));
        (cells[0].to_owned(), cells[2].to_owned(), reason.map(str::to_owned))
    };
    // Below the heading and its rule.
    Ok(facts.trim().lines().skip(2).map(row).collect())
}
