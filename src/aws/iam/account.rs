//! All roles of an account with everything that hangs on them, a page at a time.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{AttachedPolicy, EntityType, PolicyDetail, RoleDetail};
use serde_json::Value;

use super::{Iam, RoleRead, document};
use crate::{
    aws::{
        AwsError,
        call::Call,
        page::{AnswerSize, Page},
    },
    domain::ids::{Arn, RoleName},
};

/// A role as the bulk answer shows it. What it lacks, or has in a shape that cannot be read, is none.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::aws) struct RoleDetailed {
    /// Its name.
    pub name: RoleName,
    /// What `GetRole` shows of it. That it has no boundary may mean that boundaries are left out.
    pub role: Option<RoleRead>,
    /// Its inline policies, as far as they can be read.
    pub inline: Option<BTreeMap<String, Option<Value>>>,
    /// ARNs of the managed policies on it.
    pub attached: Option<Vec<Arn>>,
}

impl Iam {
    /// One page of all roles: those that are claimed, and whether any role on it was shown with its boundary.
    ///
    /// # Errors
    /// As AWS answers.
    pub(in crate::aws) async fn roles_of_account(
        &self,
        marker: Option<String>,
        most: u64,
        is_claimed: impl Fn(&str) -> bool,
    ) -> Result<(Page<RoleDetailed>, bool), AwsError> {
        let call = self.subject.call("iam", "GetAccountAuthorizationDetails", "all roles of the account");
        let size = AnswerSize::default();
        let request = self.reading.get_account_authorization_details().filter(EntityType::Role).set_marker(marker);
        let request = request.max_items(i32::try_from(most).unwrap_or(1_000).clamp(1, 1_000));
        let answer = call.send(request.customize().interceptor(size.clone()).send()).await?;
        let next = answer.marker().map(str::to_owned).filter(|_| answer.is_truncated());
        let mut page = Page::of(answer.role_detail_list().len(), &size, next);
        let mut shows_boundaries = false;
        for role in answer.role_detail_list() {
            shows_boundaries |= role.permissions_boundary().is_some();
            let claimed = role.role_name().is_some_and(&is_claimed).then(|| detailed(&call, role)).flatten();
            if let Some(role) = claimed {
                page.keep(role);
            }
        }
        Ok((page, shows_boundaries))
    }
}

fn detailed(call: &Call, role: &RoleDetail) -> Option<RoleDetailed> {
    let decoded = |text: Option<&str>| document(call, "document", text?).ok();
    let inline = |policies: &Vec<PolicyDetail>| {
        let policies = policies.iter();
        policies.map(|policy| Some((policy.policy_name()?.to_owned(), decoded(policy.policy_document())))).collect()
    };
    let attached = |policies: &Vec<AttachedPolicy>| {
        policies.iter().map(|policy| policy.policy_arn()?.parse().ok()).collect::<Option<_>>()
    };
    Some(RoleDetailed {
        name: role.role_name()?.parse().ok()?,
        role: decoded(role.assume_role_policy_document()).and_then(|trust| described(role, trust)),
        inline: role.role_policy_list.as_ref().and_then(inline),
        attached: role.attached_managed_policies.as_ref().and_then(attached),
    })
}

fn described(role: &RoleDetail, trust: Value) -> Option<RoleRead> {
    let boundary = role.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn());
    Some(RoleRead {
        arn: role.arn()?.parse().ok()?,
        path: role.path()?.parse().ok()?,
        trust,
        tags: role.tags.as_ref()?.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
        // One that cannot be read is no absence.
        boundary: match boundary {
            Some(arn) => Some(arn.parse().ok()?),
            None => None,
        },
    })
}
