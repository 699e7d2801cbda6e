//! Who calls: access keys, session tokens, and the identity behind them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Role, World, unique_id};
use crate::error::ServiceError;

/// The services of the double, by the name in the credential scope.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Service {
    Sts,
    Iam,
    Lambda,
    CodePipeline,
}

impl Service {
    /// From the credential scope.
    pub(crate) fn from_scope(name: &str) -> Option<Self> {
        match name {
            "sts" => Some(Self::Sts),
            "iam" => Some(Self::Iam),
            "lambda" => Some(Self::Lambda),
            "codepipeline" => Some(Self::CodePipeline),
            _ => None,
        }
    }

    /// The prefix of its IAM actions.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Lambda => "lambda",
            Self::CodePipeline => "codepipeline",
        }
    }

    fn is_query(self) -> bool {
        matches!(self, Self::Sts | Self::Iam)
    }

    /// A refusal by IAM, with the code that this service uses for it.
    pub(crate) fn access_denied(self, message: impl Into<String>) -> ServiceError {
        match self {
            Self::Sts | Self::Iam => ServiceError::new("AccessDenied", message).with_status(403),
            Self::Lambda => ServiceError::new("AccessDeniedException", message).with_status(403),
            Self::CodePipeline => ServiceError::new("AccessDeniedException", message),
        }
    }

    /// The throttling error of this service.
    pub(crate) fn throttled(self) -> ServiceError {
        match self {
            Self::Sts | Self::Iam => ServiceError::new("Throttling", "Rate exceeded"),
            Self::Lambda => ServiceError::new("TooManyRequestsException", "Rate Exceeded.").with_status(429),
            Self::CodePipeline => ServiceError::new("ThrottlingException", "Rate exceeded"),
        }
    }

    fn invalid_token(self) -> ServiceError {
        let message = "The security token included in the request is invalid.";
        let code = if self.is_query() { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
        ServiceError::new(code, message).with_status(if self == Self::CodePipeline { 400 } else { 403 })
    }

    fn expired_token(self) -> ServiceError {
        let message = "The security token included in the request is expired";
        let code = if self.is_query() { "ExpiredToken" } else { "ExpiredTokenException" };
        ServiceError::new(code, message).with_status(if self == Self::CodePipeline { 400 } else { 403 })
    }
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
    pub(crate) account: String,
    /// Name of the role as it was created.
    pub(crate) role: String,
    /// Its unique id: the session of a deleted role is worth nothing, even if the role was recreated.
    pub(crate) role_id: String,
    pub(crate) name: String,
    /// What the session is limited to, whatever the role may do.
    pub(crate) policy: Option<Value>,
}

/// Temporary credentials as they are handed out.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) access_key: String,
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
}

/// The secret key of all sessions. Signatures are not checked.
pub(crate) const SECRET_KEY: &str = "fakeaws-secret-that-nobody-checks-000000";

/// What kind of principal calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Identity {
    /// The account's root key: everything is allowed.
    Root,
    /// A user, by name.
    User(String),
    /// A role's session, or a role's own test key.
    Role {
        /// The role's name.
        name: String,
        /// Its unique id.
        id: String,
        /// The session's name.
        session: String,
    },
}

/// An authenticated caller, with the scope of the call.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) service: Service,
    /// Region of the credential scope.
    pub(crate) region: String,
    /// The caller's account.
    pub(crate) account: String,
    /// Partition of that account.
    pub(crate) partition: String,
    pub(crate) identity: Identity,
    /// As `GetCallerIdentity` shows it.
    pub(crate) arn: String,
    /// As `GetCallerIdentity` shows it.
    pub(crate) user_id: String,
    /// The policy that was passed when the session was made.
    pub(crate) session_policy: Option<Value>,
}

impl World {
    /// Finds the caller behind an access key and session token. Signatures are not checked.
    pub(crate) fn authenticate(
        &self,
        service: Service,
        region: &str,
        access_key: &str,
        token: Option<&str>,
    ) -> Result<Caller, ServiceError> {
        if let Some(arn) = self.keys.get(access_key) {
            if token.is_some() {
                return Err(service.invalid_token());
            }
            return self.caller_of_arn(service, region, arn).ok_or_else(|| service.invalid_token());
        }
        let session = self.sessions.get(access_key).ok_or_else(|| service.invalid_token())?;
        if token != Some(session.token.as_str()) {
            return Err(service.invalid_token());
        }
        if session.expires <= self.now() {
            return Err(service.expired_token());
        }
        let role = self
            .accounts
            .get(&session.account)
            .and_then(|account| account.role(&session.role))
            .filter(|role| role.id == session.role_id)
            .ok_or_else(|| service.invalid_token())?;
        let identity = Identity::Role { name: role.name.clone(), id: role.id.clone(), session: session.name.clone() };
        let caller = self.caller(service, region, &session.account, identity);
        let session_policy = session.policy.clone();
        caller.map(|caller| Caller { session_policy, ..caller }).ok_or_else(|| service.invalid_token())
    }

    /// Temporary credentials for a role of an account.
    pub(crate) fn issue_session(&mut self, account: &str, role: &Role, name: &str, seconds: u32) -> Issued {
        self.issue_limited_session(account, role, (name, seconds), None)
    }

    /// The same, good for artifacts only: the `artifactCredentials` of a job are denied everything else, whatever the
    /// role may do (aws/aws-cdk #15235).
    pub(crate) fn issue_artifact_session(&mut self, account: &str, role: &Role, name: &str, seconds: u32) -> Issued {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:*", "kms:*"], "Resource": "*"},
        ]});
        self.issue_limited_session(account, role, (name, seconds), Some(policy))
    }

    /// The same, with a session policy.
    pub(crate) fn issue_limited_session(
        &mut self,
        account: &str,
        role: &Role,
        (name, seconds): (&str, u32),
        policy: Option<Value>,
    ) -> Issued {
        let session = Session {
            token: format!("fakeaws-token-{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()),
            expires: self.now() + SignedDuration::from_secs(i64::from(seconds)),
            account: account.to_owned(),
            role: role.name.clone(),
            role_id: role.id.clone(),
            name: name.to_owned(),
            policy,
        };
        let access_key = unique_id("ASIA")[..20].to_owned();
        let issued = Issued { access_key: access_key.clone(), token: session.token.clone(), expires: session.expires };
        self.sessions.insert(access_key, session);
        issued
    }

    /// Ends all sessions. Their keys stay known, so that the answer is "expired" and not "invalid".
    pub(crate) fn expire_sessions(&mut self) {
        let now = self.now();
        for session in self.sessions.values_mut() {
            session.expires = session.expires.min(now);
        }
    }

    /// A caller with a long-lived key of this root, role or user.
    fn caller_of_arn(&self, service: Service, region: &str, arn: &str) -> Option<Caller> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (account, resource) = (parts.next()?, parts.next()?);
        let name = resource.rsplit('/').next().unwrap_or_default();
        let identity = if resource == "root" {
            Identity::Root
        } else if resource.starts_with("user/") {
            Identity::User(name.to_owned())
        } else {
            let role = self.accounts.get(account)?.role(name)?;
            Identity::Role { name: role.name.clone(), id: role.id.clone(), session: "test-key".to_owned() }
        };
        self.caller(service, region, account, identity)
    }

    fn caller(&self, service: Service, region: &str, account: &str, identity: Identity) -> Option<Caller> {
        let account = self.accounts.get(account)?;
        let (arn, user_id) = match &identity {
            Identity::Root => (account.root_arn(), account.id.clone()),
            Identity::User(name) => {
                let user = account.users.get(name)?;
                (account.user_arn(user), user.id.clone())
            }
            Identity::Role { name, id, session } => (
                format!("arn:{}:sts::{}:assumed-role/{name}/{session}", account.partition, account.id),
                format!("{id}:{session}"),
            ),
        };
        Some(Caller {
            service,
            region: region.to_owned(),
            account: account.id.clone(),
            partition: account.partition.clone(),
            identity,
            arn,
            user_id,
            session_policy: None,
        })
    }
}
