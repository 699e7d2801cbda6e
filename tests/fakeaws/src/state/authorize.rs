//! IAM's answer to "may this caller do that", put together from all the policies that count.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Account, Caller, Identity, Policies, Role, World};
use crate::{
    authorization::{self, Context, Denial, Policy, PolicyType, Principal, Request, TrustDecision, Unjudged},
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

/// One right that a call needs.
#[derive(Debug)]
pub(crate) struct Right<'a> {
    pub(crate) action: &'a str,
    /// What the policies are held against.
    pub(crate) resource: &'a str,
    /// How a denial names it.
    pub(crate) shown: &'a str,
    /// The keys of this call besides those of its principal.
    pub(crate) context: Context,
}

impl From<Unjudged> for ServiceError {
    fn from(unjudged: Unjudged) -> Self {
        Self::unsupported(unjudged)
    }
}

/// The facts about a principal that both sides of a judgement need.
struct Subject<'a> {
    account: &'a Account,
    arn: String,
    session_arn: Option<String>,
    /// `None` for the root user.
    policies: Option<&'a Policies>,
    session_policy: Option<&'a Value>,
    tags: &'a BTreeMap<String, String>,
}

impl World {
    /// Judges one right of the caller by all policies as they are now, and notes it for the call log. `context` holds
    /// further condition keys; those of the principal are always there.
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
        let mut keys = Context::default();
        for (key, value) in context {
            keys.set(key, *value);
        }
        self.authorize_right(caller, Right { action, resource, shown: resource, context: keys })
    }

    /// The same, for a right of which more is known.
    pub(crate) fn authorize_right(&mut self, caller: &Caller, right: Right<'_>) -> Result<(), ServiceError> {
        let Right { action, resource, shown, mut context } = right;
        self.note(action, resource);
        let now = self.now();
        let Some(subject) = self.subject(Assumer::Caller(caller), now) else {
            return Err(caller.service.access_denied(format!("{} does not exist", caller.arn)));
        };
        self.complete(&mut context, &subject, resource);
        let request = Request { action, resource, context: &context };
        match self.denial(Some(&subject), &request, false)? {
            None => Ok(()),
            Some(denial) => {
                let reason = denial.reason(action, self.shows_policies(&caller.account, resource));
                let text = format!("User: {} is not authorized to perform: {action}", caller.arn);
                Err(caller.service.access_denied(format!("{text} on resource: {shown} {reason}")))
            }
        }
    }

    /// Notes a right for the call log without judging it.
    pub(crate) fn note(&mut self, action: &str, resource: &str) {
        self.authorised.push(Authorisation { action: action.to_owned(), resource: resource.to_owned() });
    }

    /// Whether the role may be assumed.
    ///
    /// # Errors
    /// A 500 if a policy holds what cannot be judged.
    pub(crate) fn may_assume(
        &self,
        assumer: Assumer<'_>,
        role_arn: &str,
        external_id: Option<&str>,
    ) -> Result<bool, ServiceError> {
        Ok(self.assume_denial(assumer, role_arn, external_id)?.is_none())
    }

    /// Why the role may not be assumed, by its trust policy, the policies of its account and those of the assumer, as they
    /// were one authorisation lag ago; `None` if it may.
    ///
    /// # Errors
    /// A 500 if a policy holds what cannot be judged.
    pub(crate) fn assume_denial(
        &self,
        assumer: Assumer<'_>,
        role_arn: &str,
        external_id: Option<&str>,
    ) -> Result<Option<Denial>, ServiceError> {
        let time = self.authorisation_time();
        let untrusted = Some(Denial::implicit(PolicyType::RoleTrust));
        let Some((_, role)) = self.role_by_arn(role_arn, time) else { return Ok(untrusted) };
        let subject = self.subject(assumer, time);
        let service = if let Assumer::Service(service) = assumer { Some(service) } else { None };
        if subject.is_none() && service.is_none() {
            return Ok(untrusted);
        }
        let mut context = service.map_or_else(Context::default, |_| Context::of_service());
        if let Some(id) = external_id {
            context.set("sts:ExternalId", id);
        }
        // AssumeRole with session tags is not offered.
        context.set_request_tags(&[]);
        context.set_resource_tags(&role.tags);
        match &subject {
            Some(subject) => self.complete(&mut context, subject, role_arn),
            None => self.set_resource_account(&mut context, role_arn),
        }
        let request = Request { action: "sts:AssumeRole", resource: role_arn, context: &context };
        let principal = Principal {
            account: subject.as_ref().map_or("", |subject| &subject.account.id),
            arn: subject.as_ref().map_or("", |subject| &subject.arn),
            session_arn: subject.as_ref().and_then(|subject| subject.session_arn.as_deref()),
            service,
        };
        let trust = authorization::trust(&self.shown_trust(&role.trust), &principal, &request)?;
        let same_account = account_of(role_arn) == Some(principal.account);
        // The trust policy names the principal itself: in its own account that is enough alone, if nothing denies.
        let is_granted = same_account && trust == TrustDecision::AllowPrincipal;
        let denial = self.denial(subject.as_ref(), &request, is_granted)?;
        let by_trust = Denial { policy: PolicyType::RoleTrust, is_explicit: true, arn: None };
        Ok(match trust {
            TrustDecision::ExplicitDeny => Some(earlier(denial, by_trust)),
            TrustDecision::ImplicitDeny => Some(earlier(denial, Denial::implicit(PolicyType::RoleTrust))),
            TrustDecision::AllowAccount | TrustDecision::AllowPrincipal => denial,
        })
    }

    /// A role by its whole ARN (path included) at a time, with its account's id.
    pub(crate) fn role_by_arn(&self, arn: &str, time: Timestamp) -> Option<(&str, &Role)> {
        let account = self.accounts.get(account_of(arn)?)?;
        let role = account.role_as_of(arn.rsplit('/').next()?, time)?;
        (account.role_arn(role) == arn).then_some((account.id.as_str(), role))
    }

    /// Whether a denial shows the ARN of the policy that denies: to callers of the resource's own account, or of an
    /// account of the same organization (AWS Security Blog, "Enhanced access denied error messages with policy ARNs").
    pub(crate) fn shows_policies(&self, caller: &str, resource: &str) -> bool {
        let organization = |id: &str| self.accounts.get(id).and_then(|account| account.organization.as_deref());
        account_of(resource).is_none_or(|owner| {
            owner == caller || (organization(owner).is_some() && organization(owner) == organization(caller))
        })
    }

    fn subject<'a>(&'a self, assumer: Assumer<'a>, time: Timestamp) -> Option<Subject<'a>> {
        match assumer {
            Assumer::Service(_) => None,
            Assumer::Role(arn) => {
                let (account, role) = self.role_by_arn(arn, time)?;
                let (head, _) = arn.split_once(":role/")?;
                let head = head.replacen(":iam:", ":sts:", 1);
                Some(Subject {
                    account: self.accounts.get(account)?,
                    arn: arn.to_owned(),
                    session_arn: Some(format!("{head}:assumed-role/{}/1624294113598", role.name)),
                    policies: Some(&role.policies),
                    session_policy: None,
                    tags: &role.tags,
                })
            }
            Assumer::Caller(caller) => self.subject_of(caller, time),
        }
    }

    fn subject_of<'a>(&'a self, caller: &'a Caller, time: Timestamp) -> Option<Subject<'a>> {
        let account = self.accounts.get(&caller.account)?;
        let session_policy = caller.session_policy.as_ref();
        let of =
            |arn, session_arn, policies, tags| Subject { account, arn, session_arn, policies, session_policy, tags };
        Some(match &caller.identity {
            Identity::Root => of(account.root_arn(), None, None, &NO_TAGS),
            Identity::User(name) => {
                let user = account.users.get(name)?;
                of(account.user_arn(user), None, Some(&user.policies), &NO_TAGS)
            }
            Identity::Role { name, id, .. } => {
                // A role younger than the lag is judged as having no policies yet, not as unknown.
                let living = account.role(name).filter(|role| role.id == *id)?;
                let past = account.role_as_of(name, time).filter(|role| role.id == *id);
                let policies = past.map_or(&NO_POLICIES, |role| &role.policies);
                of(account.role_arn(living), Some(caller.arn.clone()), Some(policies), &living.tags)
            }
        })
    }

    /// Adds the keys of the principal and of the resource's account.
    fn complete(&self, context: &mut Context, subject: &Subject<'_>, resource: &str) {
        context.set("aws:PrincipalArn", subject.arn.as_str());
        context.set("aws:PrincipalAccount", subject.account.id.as_str());
        context.set("aws:PrincipalIsAWSService", "false");
        if let Some(organization) = &subject.account.organization {
            context.set("aws:PrincipalOrgID", organization.as_str());
        }
        for (key, value) in subject.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
        }
        self.set_resource_account(context, resource);
    }

    fn set_resource_account(&self, context: &mut Context, resource: &str) {
        if let Some(account) = account_of(resource).and_then(|id| self.accounts.get(id)) {
            context.set_resource_account(&account.id, account.organization.as_deref());
        }
    }

    /// Why the policies of the resource's account and of the subject deny; a service has no policies of its own.
    fn denial(
        &self,
        subject: Option<&Subject<'_>>,
        request: &Request<'_>,
        is_granted_by_resource: bool,
    ) -> Result<Option<Denial>, ServiceError> {
        let mut all = authorization::Policies {
            resource_control: self.resource_control(request),
            is_granted_by_resource,
            ..authorization::Policies::default()
        };
        if let Some(subject) = subject {
            let controls = &subject.account.service_control_policies;
            all.service_control = (!controls.is_empty()).then(|| by_name(controls));
            all.session = subject.session_policy.map(|document| vec![Policy { arn: None, document }]);
            if let Some(policies) = subject.policies {
                let inline = policies.inline.values().map(|document| Ok(Policy { arn: None, document }));
                let attached = policies.attached.iter().map(|arn| self.managed_policy(arn));
                all.identity = Some(inline.chain(attached).collect::<Result<_, ServiceError>>()?);
                all.boundary = policies.boundary.as_deref().map(|arn| self.managed_policy(arn)).transpose()?;
            }
        }
        Ok(authorization::denial(&all, request)?)
    }

    /// Of the services of the double, resource control policies cover STS alone (Organizations User Guide, "List of AWS
    /// services that support RCPs").
    fn resource_control(&self, request: &Request<'_>) -> Vec<Policy<'_>> {
        let owner = account_of(request.resource).filter(|_| request.action.starts_with("sts:"));
        let owner = owner.and_then(|id| self.accounts.get(id));
        owner.map(|account| by_name(&account.resource_control_policies)).unwrap_or_default()
    }

    fn managed_policy(&self, arn: &str) -> Result<Policy<'_>, ServiceError> {
        let found = self.managed_policies.get_key_value(arn);
        found.map(|(arn, document)| Policy { arn: Some(arn), document }).ok_or_else(|| {
            ServiceError::unsupported(format!("judge the managed policy {arn}: the seed lacks its document"))
        })
    }
}

static NO_POLICIES: Policies = Policies { inline: BTreeMap::new(), attached: Vec::new(), boundary: None };
static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

/// Policies of an organization, by ARN or by a name that denials do not show.
fn by_name(policies: &BTreeMap<String, Value>) -> Vec<Policy<'_>> {
    policies
        .iter()
        .map(|(name, document)| Policy { arn: Some(name.as_str()).filter(|name| name.starts_with("arn:")), document })
        .collect()
}

/// The account in an ARN.
fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The denial that AWS finds first: explicit ones come before implicit ones.
fn earlier(one: Option<Denial>, other: Denial) -> Denial {
    let rank = |denial: &Denial| (!denial.is_explicit, denial.policy);
    one.filter(|one| rank(one) < rank(&other)).unwrap_or(other)
}
