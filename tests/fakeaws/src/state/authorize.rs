//! IAM's answer to "may this caller do that", put together from policies, boundary and trust.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Caller, Identity, Policies, Role, World};
use crate::{
    authorization::{self, Decision, Principal, Request, TrustDecision, Unjudged},
    call_log::Authorisation,
    error::ServiceError,
};

/// Who wants to assume a role.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Assumer<'a> {
    /// A caller of the API.
    Caller(&'a Caller),
    /// A role on its way to another role, by ARN: what `CodePipeline` does with a pipeline's role.
    Role(&'a str),
    /// An AWS service, such as `codepipeline.amazonaws.com`.
    Service(&'a str),
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Denial {
    NoPolicy,
    NoBoundary,
    Explicit,
    ExplicitBoundary,
}

impl From<Unjudged> for ServiceError {
    fn from(unjudged: Unjudged) -> Self {
        Self::unsupported(unjudged)
    }
}

/// The facts about a principal that both sides of a judgement need.
struct Subject<'a> {
    account: &'a str,
    arn: String,
    session_arn: Option<String>,
    policies: Option<&'a Policies>,
}

impl World {
    /// Judges one right of the caller by its identity policies as they are now, and notes it for the call log.
    /// `context` holds further condition keys; `aws:PrincipalArn` and `aws:PrincipalAccount` are always there.
    ///
    /// # Errors
    /// The service's access-denied error in AWS's words; a 500 if a policy holds what cannot be judged.
    pub(crate) fn authorize(
        &mut self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
    ) -> Result<(), ServiceError> {
        self.note(action, resource);
        if caller.artifacts_only {
            // aws/aws-cdk #15235: the callback with artifactCredentials is denied, whatever the role may do.
            let text = format!("User: {} is not authorized to perform: {action} on resource: {resource}", caller.arn);
            let why = format!("because no session policy allows the {action} action");
            return Err(caller.service.access_denied(format!("{text} {why}")));
        }
        let now = self.now();
        let Some(subject) = self.subject(Assumer::Caller(caller), now) else {
            return Err(caller.service.access_denied(format!("{} does not exist", caller.arn)));
        };
        let context = context_of(&subject, context);
        let request = Request { action, resource, context: &context };
        match self.identity_denial(&subject, &request)? {
            None => Ok(()),
            Some(denial) => Err(caller.service.access_denied(denial_text(&caller.arn, &request, denial))),
        }
    }

    /// Notes a right for the call log without judging it.
    pub(crate) fn note(&mut self, action: &str, resource: &str) {
        self.authorised.push(Authorisation { action: action.to_owned(), resource: resource.to_owned() });
    }

    /// Whether the role may be assumed: its trust policy, and the assumer's identity policies where they count, both
    /// as they were one authorisation lag ago.
    ///
    /// # Errors
    /// A 500 if a policy holds what cannot be judged.
    pub(crate) fn may_assume(
        &self,
        assumer: Assumer<'_>,
        role_arn: &str,
        external_id: Option<&str>,
    ) -> Result<bool, ServiceError> {
        let time = self.authorisation_time();
        let Some((_, role)) = self.role_by_arn(role_arn, time) else { return Ok(false) };
        let trust = self.shown_trust(&role.trust);
        let extra: Vec<(&str, &str)> = external_id.map(|id| ("sts:externalid", id)).into_iter().collect();
        if let Assumer::Service(service) = assumer {
            let context = BTreeMap::new();
            let request = Request { action: "sts:AssumeRole", resource: role_arn, context: &context };
            let principal = Principal { account: "", arn: "", session_arn: None, service: Some(service) };
            return Ok(authorization::trust(&trust, &principal, &request)?.is_allowed());
        }
        let Some(subject) = self.subject(assumer, time) else { return Ok(false) };
        let context = context_of(&subject, &extra);
        let request = Request { action: "sts:AssumeRole", resource: role_arn, context: &context };
        let principal = Principal {
            account: subject.account,
            arn: &subject.arn,
            session_arn: subject.session_arn.as_deref(),
            service: None,
        };
        let decision = authorization::trust(&trust, &principal, &request)?;
        if !decision.is_allowed() {
            return Ok(false);
        }
        let same_account = role_arn.split(':').nth(4) == Some(subject.account);
        let denial = self.identity_denial(&subject, &request)?;
        Ok(match denial {
            None => true,
            // The trust policy names the principal itself: in its own account that is enough alone, if nothing denies.
            Some(Denial::NoPolicy) => {
                same_account && decision == TrustDecision::AllowPrincipal && self.boundary_allows(&subject, &request)?
            }
            Some(_) => false,
        })
    }

    /// A role by its whole ARN (path included) at a time, with its account's id.
    pub(crate) fn role_by_arn(&self, arn: &str, time: Timestamp) -> Option<(&str, &Role)> {
        let account = self.accounts.get(arn.split(':').nth(4)?)?;
        let role = account.role_as_of(arn.rsplit('/').next()?, time)?;
        (account.role_arn(role) == arn).then_some((account.id.as_str(), role))
    }

    fn subject<'a>(&'a self, assumer: Assumer<'a>, time: Timestamp) -> Option<Subject<'a>> {
        match assumer {
            Assumer::Service(_) => None,
            Assumer::Role(arn) => {
                let (account, role) = self.role_by_arn(arn, time)?;
                let (head, _) = arn.split_once(":role/")?;
                let head = head.replacen(":iam:", ":sts:", 1);
                let session_arn = Some(format!("{head}:assumed-role/{}/1624294113598", role.name));
                Some(Subject { account, arn: arn.to_owned(), session_arn, policies: Some(&role.policies) })
            }
            Assumer::Caller(caller) => {
                let account = self.accounts.get(&caller.account)?;
                let (arn, session_arn, policies) = match &caller.identity {
                    Identity::Root => (account.root_arn(), None, None),
                    Identity::User(name) => {
                        let user = account.users.get(name)?;
                        (account.user_arn(user), None, Some(&user.policies))
                    }
                    Identity::Role { name, id, .. } => {
                        // A role younger than the lag is judged as having no policies yet, not as unknown.
                        let living = account.role(name).filter(|role| role.id == *id)?;
                        let past = account.role_as_of(name, time).filter(|role| role.id == *id);
                        let policies = past.map_or(&NO_POLICIES, |role| &role.policies);
                        (account.role_arn(living), Some(caller.arn.clone()), Some(policies))
                    }
                };
                Some(Subject { account: &account.id, arn, session_arn, policies })
            }
        }
    }

    fn identity_denial(&self, subject: &Subject<'_>, request: &Request<'_>) -> Result<Option<Denial>, ServiceError> {
        let Some(policies) = subject.policies else { return Ok(None) };
        let mut documents: Vec<&Value> = policies.inline.values().collect();
        for arn in &policies.attached {
            documents.push(self.managed_policy(arn)?);
        }
        let boundary = policies.boundary.as_deref().map(|arn| self.managed_policy(arn)).transpose()?;
        let without_boundary = authorization::identity(&documents, None, request)?;
        let whole = authorization::identity(&documents, boundary, request)?;
        Ok(match (without_boundary, whole) {
            (_, Decision::Allow) => None,
            (Decision::ExplicitDeny, _) => Some(Denial::Explicit),
            (_, Decision::ExplicitDeny) => Some(Denial::ExplicitBoundary),
            (Decision::Allow, _) => Some(Denial::NoBoundary),
            _ => Some(Denial::NoPolicy),
        })
    }

    /// A trust policy that names a role does not lift that role's boundary (IAM User Guide, "Evaluating effective
    /// permissions with boundaries").
    fn boundary_allows(&self, subject: &Subject<'_>, request: &Request<'_>) -> Result<bool, ServiceError> {
        let boundary = subject.policies.and_then(|policies| policies.boundary.as_deref());
        let Some(arn) = boundary else { return Ok(true) };
        Ok(authorization::identity(&[self.managed_policy(arn)?], None, request)? == Decision::Allow)
    }

    fn managed_policy(&self, arn: &str) -> Result<&Value, ServiceError> {
        self.managed_policies.get(arn).ok_or_else(|| {
            ServiceError::unsupported(format!("judge the managed policy {arn}: the seed lacks its document"))
        })
    }
}

static NO_POLICIES: Policies = Policies { inline: BTreeMap::new(), attached: Vec::new(), boundary: None };

fn context_of(subject: &Subject<'_>, extra: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let mut context: BTreeMap<String, Vec<String>> =
        extra.iter().map(|(key, value)| (key.to_ascii_lowercase(), vec![(*value).to_owned()])).collect();
    context.insert("aws:principalarn".to_owned(), vec![subject.arn.clone()]);
    context.insert("aws:principalaccount".to_owned(), vec![subject.account.to_owned()]);
    context
}

fn denial_text(caller: &str, request: &Request<'_>, denial: Denial) -> String {
    let Request { action, resource, .. } = request;
    let why = match denial {
        Denial::NoPolicy => format!("because no identity-based policy allows the {action} action"),
        Denial::NoBoundary => format!("because no permissions boundary allows the {action} action"),
        Denial::Explicit => "with an explicit deny in an identity-based policy".to_owned(),
        Denial::ExplicitBoundary => "with an explicit deny in a permissions boundary".to_owned(),
    };
    format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {why}")
}
