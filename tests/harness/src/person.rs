//! A person with boto3 and an account's root key, who does what the controller is not told of.

use tokio::process::Command;

use crate::{command::run, deployment::python, error::Result, scenario::Scenario};

impl Scenario<'_> {
    /// Runs Python with boto3 as the root of an account, in a process of its own, and returns what it printed.
    ///
    /// # Errors
    /// If it raises; with its traceback.
    pub async fn boto3(&self, account: &str, code: &str) -> Result<String> {
        let mut command = Command::new(python().await?);
        // Nothing of the developer's own AWS set-up may leak in.
        command.args(["-I", "-B", "-c", code]).env_clear().envs([
            ("AWS_ENDPOINT_URL", self.aws_endpoint().as_str()),
            ("AWS_DEFAULT_REGION", &self.accounts.region),
            ("AWS_ACCESS_KEY_ID", &self.accounts.root_key(account)),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        run(command, "").await
    }
}
