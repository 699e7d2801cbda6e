//! Sessions: one per account, role and external id, shared by all objects and regions.
//!
//! A client per reconcile would assume the role each time, and one identity cache for all accounts holds 64 identities
//! and evicts at random: both make a storm of STS calls. Each session therefore has its own configuration with its own
//! cache, and lives a little shorter than its credentials.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig, identity::IdentityCache, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use moka::future::Cache;

use super::{AwsError, AwsErrorKind, Call, CallObserver, CodePipeline, Iam, Lambda, observe_calls::ObserveCalls};
use crate::domain::ids::{AccountId, Arn, Region};

/// A session is opened anew this long before its credentials would end.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// Attempts of a call that only reads; the reconcile itself is what retries.
const READ_ATTEMPTS: u32 = 2;

/// How AWS is reached.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// The process's own credentials, region and endpoints, from AWS's standard environment.
    pub base: SdkConfig,
    /// Name of assumed-role sessions, 2–64 characters; it shows up in `CloudTrail`.
    pub session_name: String,
    /// Time for one attempt of one call.
    pub attempt_timeout: Duration,
    /// How long a session lasts: 900–3600 seconds, since AWS refuses longer chained sessions.
    pub session_duration: Duration,
}

/// Which account is entered how.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct SessionKey {
    /// The account.
    pub account: AccountId,
    /// The role to assume; `None` for the process's own identity.
    pub role: Option<Arn>,
    /// The external id that goes with it.
    pub external_id: Option<String>,
}

impl fmt::Debug for SessionKey {
    // The external id is half a credential and stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("account", &self.account).field("role", &self.role).finish_non_exhaustive()
    }
}

/// All sessions of the process. Cheap to clone.
#[derive(Clone)]
pub struct Aws {
    config: Arc<AwsConfig>,
    observer: Arc<dyn CallObserver>,
    sessions: Cache<SessionKey, Session>,
}

/// Clients in one account, by region.
#[derive(Clone)]
pub struct Session {
    account: AccountId,
    caller_arn: String,
    clients: Clients,
}

/// What every client of a session is made of.
#[derive(Clone)]
pub(super) struct Clients {
    config: SdkConfig,
    observer: Arc<dyn CallObserver>,
    expired: Arc<AtomicBool>,
}

impl Clients {
    /// The interceptor that reports the calls of one service.
    pub(super) fn observe(&self, service: &'static str) -> ObserveCalls {
        ObserveCalls::new(service, self.observer.clone(), self.expired.clone())
    }

    /// The configuration for calls that only read.
    pub(super) fn reading(&self, region: &Region) -> SdkConfig {
        self.in_region(region, READ_ATTEMPTS)
    }

    /// The configuration for calls that change something: one attempt, since after a lost answer a second one could be a
    /// second change. The next read decides.
    pub(super) fn writing(&self, region: &Region) -> SdkConfig {
        self.in_region(region, 1)
    }

    fn in_region(&self, region: &Region, attempts: u32) -> SdkConfig {
        self.config
            .clone()
            .into_builder()
            .region(aws_config::Region::new(region.to_string()))
            .retry_config(RetryConfig::standard().with_max_attempts(attempts))
            .build()
    }
}

impl Aws {
    /// No session is opened yet.
    #[must_use]
    pub fn new(config: AwsConfig, observer: Arc<dyn CallObserver>) -> Self {
        let lifetime = config.session_duration.saturating_sub(RENEW_BEFORE).max(RENEW_BEFORE);
        // Without a capacity: there are as many sessions as AwsAccounts, and evicting one costs an AssumeRole.
        let sessions = Cache::builder().time_to_live(lifetime).build();
        Self { config: Arc::new(config), observer, sessions }
    }

    /// The session of this key, opened once however many ask at the same time. A failure is not kept.
    ///
    /// # Errors
    /// The role cannot be assumed, or the credentials belong to another account.
    pub async fn session(&self, key: &SessionKey) -> Result<Session, AwsError> {
        if let Some(session) = self.sessions.get(key).await
            && session.clients.expired.load(Ordering::Relaxed)
        {
            self.sessions.invalidate(key).await;
        }
        let opened = self.sessions.try_get_with(key.clone(), Box::pin(self.open(key))).await;
        opened.map_err(|error| (*error).clone())
    }

    /// Forgets a session: its account has gone or is entered differently now.
    pub async fn forget(&self, key: &SessionKey) {
        self.sessions.invalidate(key).await;
    }

    async fn open(&self, key: &SessionKey) -> Result<Session, AwsError> {
        let expired = Arc::new(AtomicBool::new(false));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.config.attempt_timeout.min(Duration::from_secs(5)))
            .operation_attempt_timeout(self.config.attempt_timeout)
            .build();
        let base = self.config.base.clone().into_builder().timeout_config(timeouts).build();
        let mut own = base.clone().into_builder();
        own = own.identity_cache(IdentityCache::lazy().build());
        if let Some(role) = &key.role {
            let clients = Clients { config: base, observer: self.observer.clone(), expired: expired.clone() };
            own = own.credentials_provider(SharedCredentialsProvider::new(AssumedRole::new(
                &clients,
                &self.config,
                key,
                role,
            )));
        }
        let clients = Clients { config: own.build(), observer: self.observer.clone(), expired };
        let caller_arn = identify(&clients, key).await?;
        Ok(Session { account: key.account.clone(), caller_arn, clients })
    }
}

impl Session {
    /// Who the controller is in the account.
    #[must_use]
    pub fn caller_arn(&self) -> &str {
        &self.caller_arn
    }

    /// The account, as AWS confirmed it.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// IAM; the region tells the partition's endpoint.
    #[must_use]
    pub fn iam(&self, region: &Region) -> Iam {
        Iam::new(&self.clients, &self.account, region)
    }

    /// Lambda in a region.
    #[must_use]
    pub fn lambda(&self, region: &Region) -> Lambda {
        Lambda::new(&self.clients, &self.account, region)
    }

    /// `CodePipeline` in a region.
    #[must_use]
    pub fn codepipeline(&self, region: &Region) -> CodePipeline {
        CodePipeline::new(&self.clients, &self.account, region)
    }
}

/// Asks AWS whose credentials these are: a role ARN in the wrong `AwsAccount` would write in the wrong account.
async fn identify(clients: &Clients, key: &SessionKey) -> Result<String, AwsError> {
    let config = aws_sdk_sts::config::Builder::from(&clients.config).interceptor(clients.observe("sts")).build();
    let resource = key.role.as_ref().map_or_else(|| "the controller's own identity".to_owned(), ToString::to_string);
    let call = Call { service: "sts", operation: "GetCallerIdentity", account: Some(key.account.clone()), resource };
    let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
    let identity = answer.map_err(|error| call.classify(&error))?;
    let found = identity.account().unwrap_or_default();
    if found != key.account.as_str() {
        let kind = AwsErrorKind::AccountMismatch { found: found.to_owned() };
        return Err(call.failed(kind, None, format!("the credentials are of account {found}")));
    }
    Ok(identity.arn().unwrap_or_default().to_owned())
}

/// Credentials by `AssumeRole`. Written here because the SDK's own provider takes no interceptor, so its calls could be
/// neither counted nor told apart from network faults.
struct AssumedRole {
    client: aws_sdk_sts::Client,
    call: Call,
    role: String,
    external_id: Option<String>,
    session_name: String,
    duration: i32,
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole").field("role", &self.role).finish_non_exhaustive()
    }
}

impl AssumedRole {
    fn new(clients: &Clients, config: &AwsConfig, key: &SessionKey, role: &Arn) -> Self {
        let sts = aws_sdk_sts::config::Builder::from(&clients.config).interceptor(clients.observe("sts")).build();
        Self {
            client: aws_sdk_sts::Client::from_conf(sts),
            call: Call {
                service: "sts",
                operation: "AssumeRole",
                account: Some(key.account.clone()),
                resource: role.to_string(),
            },
            role: role.to_string(),
            external_id: key.external_id.clone(),
            session_name: config.session_name.chars().take(64).collect(),
            duration: i32::try_from(config.session_duration.as_secs()).unwrap_or(3600),
        }
    }

    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let answer = self
            .client
            .assume_role()
            .role_arn(&self.role)
            .role_session_name(&self.session_name)
            .set_external_id(self.external_id.clone())
            .duration_seconds(self.duration)
            .send()
            .await
            .map_err(|error| CredentialsError::provider_error(self.call.classify(&error)))?;
        let credentials = answer.credentials().ok_or_else(|| {
            CredentialsError::provider_error(self.call.failed(
                AwsErrorKind::Unavailable,
                None,
                "the answer has no credentials".to_owned(),
            ))
        })?;
        let expiry = std::time::SystemTime::try_from(*credentials.expiration()).ok();
        Ok(Credentials::new(
            credentials.access_key_id(),
            credentials.secret_access_key(),
            Some(credentials.session_token().to_owned()),
            expiry,
            "AssumedRole",
        ))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

/// The process's own configuration from AWS's standard environment, profile and endpoint variables.
///
/// Without a region anywhere `us-east-1` is taken for STS; objects name their own regions.
///
/// # Errors
/// A retry variable that the SDK would panic on.
pub async fn load_base_config() -> Result<SdkConfig, String> {
    retry_variables()?;
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .app_name(aws_config::AppName::new("crossinvoke").map_err(|error| error.to_string())?);
    let config = loader.load().await;
    Ok(match config.region() {
        Some(_) => config,
        None => config.into_builder().region(aws_config::Region::new("us-east-1")).build(),
    })
}

/// `aws-config` panics on these values; an operator's typo is an error message instead.
#[allow(clippy::disallowed_methods, reason = "AWS's own variables, checked before AWS's own loader reads them")]
fn retry_variables() -> Result<(), String> {
    if let Ok(attempts) = std::env::var("AWS_MAX_ATTEMPTS")
        && attempts.parse::<u32>().ok().is_none_or(|attempts| attempts == 0)
    {
        return Err(format!("AWS_MAX_ATTEMPTS={attempts:?} is not a number from 1 on"));
    }
    if let Ok(mode) = std::env::var("AWS_RETRY_MODE")
        && !["standard", "adaptive", "legacy"].contains(&mode.to_ascii_lowercase().as_str())
    {
        return Err(format!("AWS_RETRY_MODE={mode:?} is none of standard, adaptive and legacy"));
    }
    Ok(())
}
