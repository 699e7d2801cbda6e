//! Whose roles a message may name. Who may edit a pipeline sees the places of its actions; whose object stands behind one
//! of them is nothing that another tenant learns.

use std::collections::BTreeSet;

use crate::domain::ids::{Arn, RoleId, RolePath};

/// What is said instead of a role that is not named.
pub const UNTOLD: &str = "another role of crossinvoke";

/// Which roles are not named to the author of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Untold {
    /// Roles of the object itself and of objects of its namespace: these are named.
    pub kin: BTreeSet<RoleId>,
    /// Roles of objects of other namespaces.
    pub strangers: BTreeSet<RoleId>,
    /// Where this installation's roles are.
    pub path: Option<RolePath>,
}

impl Untold {
    /// Whether a role is not named.
    #[must_use]
    pub fn hides(&self, role: &str) -> bool {
        let Ok(arn) = role.parse::<Arn>() else { return false };
        let Some(id) = arn.role().filter(|id| !self.kin.contains(id)) else { return false };
        // An object that is not watched, or that does not decode, is not known: the form of its role tells that it is one's.
        let is_derived = id.name.as_str().to_ascii_lowercase().starts_with("crossinvoke-");
        let is_there = self.path.as_ref().is_some_and(|path| arn.resource().starts_with(&format!("role{path}")));
        self.strangers.contains(&id) || is_derived || is_there
    }

    /// The role, or what is said instead.
    #[must_use]
    pub fn shown<'a>(&self, role: &'a str) -> &'a str {
        if self.hides(role) { UNTOLD } else { role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roles_of_ones_own_and_of_other_people_are_named() {
        let role = |text: &str| text.parse::<Arn>().unwrap().role().unwrap();
        let arn = |path_and_name: &str| format!("arn:aws:iam::222222222222:role/{path_and_name}");
        let untold = Untold {
            kin: BTreeSet::from([role(&arn("crossinvoke/x/crossinvoke-mine-a-hash"))]),
            strangers: BTreeSet::from([role(&arn("given-by-another-tenant"))]),
            path: Some("/crossinvoke/x/".parse().unwrap()),
        };
        for (named, hidden) in [
            ("crossinvoke/x/crossinvoke-mine-a-hash", false),
            ("service-role/somebody-elses", false),
            ("given-by-another-tenant", true),
            // IAM finds a role under any path and in any letters.
            ("elsewhere/Given-By-Another-Tenant", true),
            // Of an object that is not known.
            ("crossinvoke/x/chosen", true),
            ("crossinvoke-theirs-b-hash", true),
        ] {
            assert_eq!(untold.hides(&arn(named)), hidden, "{named}");
            assert_eq!(untold.shown(&arn(named)) == UNTOLD, hidden, "{named}");
        }
        assert!(!untold.hides("no ARN"));
    }
}
