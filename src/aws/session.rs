//! Sessions: one per account, role and external id, shared by all objects and regions.
//!
//! A client per reconcile would assume the role each time, and one identity cache for all accounts holds 64 identities
//! and evicts at random: both make a storm of STS calls. A session therefore holds the credentials that one `AssumeRole`
//! gave it, and lives a little shorter than they do.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, identity::IdentityCache, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;
use moka::{future::Cache, ops::compute::Op};

use super::{
    AwsError, AwsErrorKind, Budgets, CallObserver, CodePipeline, Iam, InFlight, Readers,
    call::Subject,
    https::http_client,
    lambda::Lambda,
    observe_calls::{ObserveCalls, SessionEnd},
};
use crate::domain::{
    budget::Budget,
    ids::{AccountId, Arn, InvalidId, Region},
};

/// A session is opened again this long before its credentials would end.
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
    /// What is sent of a service in each account, where it is not the usual.
    pub budgets: Vec<Budget>,
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
    /// Accounts whose session was ended by a denial. For as long as a session lives, further denials are what they say.
    denied: Cache<SessionKey, ()>,
    in_flight: InFlight,
    readers: Readers,
    budgets: Budgets,
}

/// Clients in one account, by region.
#[derive(Clone)]
pub struct Session {
    pub(super) caller_arn: String,
    pub(super) clients: Clients,
    made: Arc<Mutex<HashMap<Region, Arc<Made>>>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("caller", &self.caller_arn).finish_non_exhaustive()
    }
}

/// The clients in one region, each made when it is first needed.
#[derive(Default)]
struct Made {
    iam: OnceLock<Iam>,
    lambda: OnceLock<Lambda>,
    codepipeline: OnceLock<CodePipeline>,
}

/// What every client of a session is made of.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) config: SdkConfig,
    observer: Arc<dyn CallObserver>,
    end: Arc<SessionEnd>,
    subject: Subject,
    readers: Readers,
}

impl Clients {
    /// What was read of AWS.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The interceptor that reports the calls of one service.
    pub(super) fn observe(&self, service: &'static str) -> ObserveCalls {
        ObserveCalls::new(service, self.observer.clone(), self.end.clone(), self.subject.clone())
    }

    /// Who calls, and where.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
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
    pub fn new(mut config: AwsConfig, observer: Arc<dyn CallObserver>) -> Self {
        if config.base.http_client().is_none() {
            config.base = config.base.into_builder().http_client(http_client()).build();
        }
        let lifetime = config.session_duration.saturating_sub(RENEW_BEFORE).max(RENEW_BEFORE);
        // Without a capacity: there are as many sessions as AwsAccounts, and evicting one costs an AssumeRole.
        let sessions = Cache::builder().time_to_live(lifetime).build();
        let denied = Cache::builder().time_to_live(lifetime).build();
        let (readers, budgets) = (Readers::new(observer.clone()), Budgets::new(&config.budgets, observer.clone()));
        Self { config: Arc::new(config), observer, sessions, denied, in_flight: InFlight::default(), readers, budgets }
    }

    /// How many calls are sent a second.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// What was read of AWS, and the way to read more.
    #[must_use]
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The session of this key, opened once however many ask at the same time. A failure is not kept.
    ///
    /// # Errors
    /// The role cannot be assumed, or the credentials belong to another account.
    pub async fn session(&self, key: &SessionKey) -> Result<Session, AwsError> {
        if let Some(session) = self.sessions.get(key).await
            && self.is_over(key, &session.clients.end).await
        {
            self.drop_session(key, &session).await;
        }
        let opened = self.sessions.try_get_with_by_ref(key, Box::pin(self.open(key))).await;
        opened.map_err(|error| (*error).clone())
    }

    /// Whether a session is of no more use. A denial ends one only once: a right that is really missing would otherwise
    /// cost an `AssumeRole` at every look.
    async fn is_over(&self, key: &SessionKey, end: &SessionEnd) -> bool {
        if end.is_refused() {
            return true;
        }
        if !end.is_denied() || self.denied.contains_key(key) {
            return false;
        }
        self.denied.insert(key.clone(), ()).await;
        true
    }

    /// The calls in flight of all sessions.
    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Forgets a session: its account has gone or is entered differently now.
    pub async fn forget(&self, key: &SessionKey) {
        self.sessions.invalidate(key).await;
    }

    /// Drops this very session. Many calls find out at once that a token has expired; whoever comes late must not drop
    /// the session that another has opened since.
    pub(super) async fn drop_session(&self, key: &SessionKey, session: &Session) {
        let same = |other: &Session| Arc::ptr_eq(&other.clients.end, &session.clients.end);
        let entry = self.sessions.entry_by_ref(key);
        entry
            .and_compute_with(|current| {
                std::future::ready(match current {
                    Some(current) if same(current.value()) => Op::Remove,
                    _ => Op::Nop,
                })
            })
            .await;
    }

    async fn open(&self, key: &SessionKey) -> Result<Session, AwsError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.config.attempt_timeout.min(Duration::from_secs(5)))
            .operation_attempt_timeout(self.config.attempt_timeout)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(READ_ATTEMPTS);
        let base = self.config.base.clone().into_builder().timeout_config(timeouts).retry_config(retries).build();
        let config = match &key.role {
            Some(role) => {
                let base = base.clone().into_builder().region(sts_region(base.region(), role)).build();
                let credentials = SharedCredentialsProvider::new(Box::pin(self.assume(&base, key, role)).await?);
                // They are at hand, so there is nothing to cache; and when they end, AWS says so.
                base.into_builder().credentials_provider(credentials).identity_cache(IdentityCache::no_cache()).build()
            }
            None => base.into_builder().identity_cache(IdentityCache::lazy().build()).build(),
        };
        let caller = key.role.as_ref().map(ToString::to_string);
        let subject = self.subject(key, caller);
        let (observer, readers) = (self.observer.clone(), self.readers.clone());
        let clients = Clients { config, observer, end: Arc::default(), subject, readers };
        identify(clients, key).await
    }

    fn subject(&self, key: &SessionKey, caller: Option<String>) -> Subject {
        Subject::new(key.account.clone(), caller, self.in_flight.clone(), self.budgets.clone())
    }

    /// Credentials by `AssumeRole`. Called here rather than by the SDK's own provider, whose inner client takes no
    /// interceptor, so that its calls could not be counted.
    async fn assume(&self, base: &SdkConfig, key: &SessionKey, role: &Arn) -> Result<Credentials, AwsError> {
        let subject = self.subject(key, None);
        let observe = ObserveCalls::new("sts", self.observer.clone(), Arc::default(), subject.clone());
        let config = aws_sdk_sts::config::Builder::from(base).interceptor(observe);
        let call = subject.call("sts", "AssumeRole", role.as_str());
        let request = aws_sdk_sts::Client::from_conf(config.build())
            .assume_role()
            .role_arn(role.as_str())
            .role_session_name(self.config.session_name.chars().take(64).collect::<String>())
            .set_external_id(key.external_id.clone())
            .duration_seconds(i32::try_from(self.config.session_duration.as_secs()).unwrap_or(3600));
        let answer = Box::pin(call.send(request.send())).await?;
        let issued = answer
            .credentials()
            .ok_or_else(|| call.failed(AwsErrorKind::Unavailable, "the answer has no credentials"))?;
        let (id, secret, token) = (issued.access_key_id(), issued.secret_access_key(), issued.session_token());
        Ok(Credentials::new(id, secret, Some(token.to_owned()), None, "AssumeRole"))
    }
}

/// Partitions besides `aws`: name, how their regions begin, and one of these (AWS SDKs, partitions.json). A role of a
/// partition that AWS adds later is assumed in the process's own region: `AWS_REGION` then has to be one of that partition.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("aws-cn", "cn-", "cn-north-1"),
    ("aws-us-gov", "us-gov-", "us-gov-west-1"),
    ("aws-eusc", "eusc-", "eusc-de-east-1"),
    ("aws-iso", "us-iso-", "us-iso-east-1"),
    ("aws-iso-b", "us-isob-", "us-isob-east-1"),
    ("aws-iso-e", "eu-isoe-", "eu-isoe-west-1"),
    ("aws-iso-f", "us-isof-", "us-isof-south-1"),
];

/// STS answers for its own partition only, so a role in another one than the process's region needs a region of its own.
fn sts_region(own: Option<&aws_config::Region>, role: &Arn) -> Option<aws_config::Region> {
    let own = own.cloned();
    let name = own.as_ref().map_or("", AsRef::as_ref);
    let here = PARTITIONS.iter().find(|(_, prefix, _)| name.starts_with(prefix)).map_or("aws", |(here, ..)| *here);
    let region = |region: &'static str| Some(aws_config::Region::from_static(region));
    match role.partition() {
        there if there == here => own,
        "aws" => region("us-east-1"),
        there => match PARTITIONS.iter().find(|(partition, ..)| *partition == there) {
            Some((.., known)) => region(known),
            None => own,
        },
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
        &self.clients.subject.account
    }

    /// The region in which the session was opened: one of the account's partition.
    ///
    /// # Errors
    /// The process's region is not one.
    pub fn home_region(&self) -> Result<Region, InvalidId> {
        self.clients.config.region().map_or("us-east-1", AsRef::as_ref).parse()
    }

    /// IAM; the region tells the partition's endpoint.
    #[must_use]
    pub fn iam(&self, region: &Region) -> Iam {
        self.made(region).iam.get_or_init(|| Iam::new(&self.clients, region)).clone()
    }

    /// Lambda in a region.
    #[must_use]
    pub(super) fn lambda(&self, region: &Region) -> Lambda {
        self.made(region).lambda.get_or_init(|| Lambda::new(&self.clients, region)).clone()
    }

    /// `CodePipeline` in a region.
    #[must_use]
    pub fn codepipeline(&self, region: &Region) -> CodePipeline {
        self.made(region).codepipeline.get_or_init(|| CodePipeline::new(&self.clients, region)).clone()
    }

    fn made(&self, region: &Region) -> Arc<Made> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(region.clone()).or_default().clone()
    }
}

/// Asks AWS whose credentials these are: a role ARN in the wrong `AwsAccount` would write in the wrong account.
async fn identify(mut clients: Clients, key: &SessionKey) -> Result<Session, AwsError> {
    let config = aws_sdk_sts::config::Builder::from(&clients.config).interceptor(clients.observe("sts")).build();
    let identity = clients.subject.caller.clone().unwrap_or_else(|| "the controller's own identity".to_owned());
    let call = clients.subject.call("sts", "GetCallerIdentity", identity);
    let identity = call.send(aws_sdk_sts::Client::from_conf(config).get_caller_identity().send()).await?;
    let found = identity.account().unwrap_or_default();
    if found != key.account.as_str() {
        let kind = AwsErrorKind::AccountMismatch { found: found.to_owned() };
        return Err(call.failed(kind, format!("the credentials are of account {found}")));
    }
    let caller_arn = identity.arn().unwrap_or_default().to_owned();
    clients.subject.caller.get_or_insert_with(|| caller_arn.clone());
    Ok(Session { caller_arn, clients, made: Arc::default() })
}

/// The process's own configuration from AWS's standard environment, profile and endpoint variables, but for the retry
/// settings: how often a call may be sent is decided per call, and `aws-config` panics on values that it does not know.
///
/// Without a region anywhere `us-east-1` is taken for STS; objects name their own regions.
///
/// # Errors
/// An endpoint in the environment or the profile is no URL, which the SDK would meet with a panic, or not before a call.
pub async fn load_base_config() -> Result<SdkConfig, String> {
    load(aws_config::defaults(BehaviorVersion::latest())).await
}

pub(super) async fn load(loader: ConfigLoader) -> Result<SdkConfig, String> {
    let name = aws_config::AppName::new("crossinvoke").map_err(|error| error.to_string())?;
    let loader = loader.app_name(name).http_client(http_client()).retry_config(RetryConfig::standard());
    let config = loader.load().await;
    for (service, variable) in [("STS", "STS"), ("IAM", "IAM"), ("Lambda", "LAMBDA"), ("CodePipeline", "CODEPIPELINE")]
    {
        if let Some(endpoint) = configured_endpoint(&config, service)
            && !endpoint.parse().is_ok_and(|uri: http::Uri| uri.scheme().is_some() && uri.host().is_some())
        {
            return Err(format!(
                "the endpoint {endpoint:?} configured for {service} is no URL; correct or unset AWS_ENDPOINT_URL_{variable}, \
                 AWS_ENDPOINT_URL or the profile's endpoint_url"
            ));
        }
    }
    Ok(match config.region() {
        Some(_) => config,
        None => config.into_builder().region(aws_config::Region::from_static("us-east-1")).build(),
    })
}

/// The endpoint as a client of this service will look it up.
fn configured_endpoint(config: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    config.service_config()?.load_config(key.build().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_is_asked_in_the_partition_of_the_role() {
        for (own, partition, asked) in [
            (Some("eu-west-1"), "aws", Some("eu-west-1")),
            (Some("eu-west-1"), "aws-cn", Some("cn-north-1")),
            (Some("cn-northwest-1"), "aws-cn", Some("cn-northwest-1")),
            (Some("cn-northwest-1"), "aws", Some("us-east-1")),
            (Some("us-east-1"), "aws-us-gov", Some("us-gov-west-1")),
            (Some("us-east-1"), "aws-eusc", Some("eusc-de-east-1")),
            (None, "aws-eusc", Some("eusc-de-east-1")),
            (None, "aws", None),
            // A partition that nobody here knows: the region that the user gave the process decides.
            (Some("new-west-1"), "aws-new", Some("new-west-1")),
            (Some("us-east-1"), "aws-new", Some("us-east-1")),
        ] {
            let region = own.map(aws_config::Region::from_static);
            let role: Arn = format!("arn:{partition}:iam::111111111111:role/crossinvoke").parse().unwrap();
            let found = sts_region(region.as_ref(), &role);
            assert_eq!(found.as_ref().map(AsRef::as_ref), asked, "{partition} from {own:?}");
        }
    }
}
