//! What a policy that several objects share must hold. An entry leaves only when its object releases it.
//!
//! Three sources say what the other objects need, and they are trusted differently, because status can be written by a
//! tenant: what is *in place* may be kept on anybody's word, since keeping it gives nobody anything new; what is *added*
//! must have been recorded by this process, or be the object's own role under a grant that holds now.

use std::collections::BTreeSet;

use super::ids::{Arn, ObjectKey, RoleId, RolePath};

/// Whether another object's pipeline or function uses the role in question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// It was seen to, or its inventory says so.
    Uses,
    /// It was seen to use another role.
    DoesNot,
    /// Its pipeline or function has not been read by this process and its inventory does not say.
    Unknown,
}

/// The invoke role that an object's spec asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedRole {
    /// The role.
    pub role: RoleId,
    /// The path at which it would be made.
    pub path: RolePath,
}

impl WantedRole {
    fn is(&self, arn: &Arn) -> bool {
        arn.role().as_ref() == Some(&self.role)
    }

    fn is_exactly(&self, arn: &Arn) -> bool {
        self.is(arn) && arn.resource() == format!("role{}{}", self.path, self.role.name)
    }
}

/// Another existing object, whatever its state, as far as one pipeline role's assume policy (P3) is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AssumeUser {
    /// The object.
    pub key: ObjectKey,
    /// Whether its pipeline uses this pipeline role.
    pub usage: Usage,
    /// The invoke role that its spec asks for.
    pub invoke_role: Option<WantedRole>,
    /// Whether both accounts grant it that today.
    pub granted: bool,
    /// Invoke roles that its inventory claims under this pipeline role. A tenant may have written them there.
    pub recorded: BTreeSet<Arn>,
    /// Invoke roles that this very process planned under this pipeline role, from a spec that passed the gate.
    pub planned_here: BTreeSet<Arn>,
    /// Invoke roles that were once seen in place under this pipeline role: their absence is drift.
    pub verified: BTreeSet<Arn>,
}

impl AssumeUser {
    /// Whether the role is one of this object's: the one that it asks for, or one that it says it has.
    #[must_use]
    pub fn has(&self, role: &Arn) -> bool {
        self.recorded.contains(role) || self.invoke_role.as_ref().is_some_and(|wanted| wanted.is(role))
    }
}

/// The invoke roles that the assume policy of one pipeline role must name: `own`, and what the others need of it.
#[must_use]
pub fn union(in_place: &BTreeSet<Arn>, own: &BTreeSet<Arn>, others: &[AssumeUser]) -> BTreeSet<Arn> {
    let mut entries = own.clone();
    for other in others {
        // What was granted once may be kept; added again it is only under a grant of today.
        let planned = other.planned_here.iter().filter(|role| other.granted || in_place.contains(*role));
        entries.extend(planned.cloned());
        let asks_for = |role: &&Arn| {
            other.usage != Usage::DoesNot && other.invoke_role.as_ref().is_some_and(|wanted| wanted.is(role))
        };
        // A status that nobody's grant stands behind speaks for the object's own role alone.
        let recorded = |role: &&Arn| other.granted && other.recorded.contains(*role);
        let own = |role: &&Arn| {
            other.invoke_role.as_ref().is_some_and(|wanted| wanted.is(role)) && other.recorded.contains(*role)
        };
        entries.extend(in_place.iter().filter(|role| recorded(role) || own(role) || asks_for(role)).cloned());
        // Recorded by an earlier process and perhaps hidden by a stale read: only what it may have today.
        let granted = other.invoke_role.as_ref().filter(|_| other.granted);
        entries.extend(
            other.recorded.iter().filter(|role| granted.is_some_and(|wanted| wanted.is_exactly(role))).cloned(),
        );
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Arn {
        format!("arn:aws:iam::222222222222:role/crossinvoke/x/{name}").parse().unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<Arn> {
        names.iter().map(|name| role(name)).collect()
    }

    fn user(usage: Usage, wants: &str, granted: bool, recorded: &[&str], planned_here: &[&str]) -> AssumeUser {
        AssumeUser {
            key: ObjectKey { namespace: "n".to_owned(), name: wants.to_owned() },
            usage,
            invoke_role: Some(WantedRole {
                role: role(wants).role().unwrap(),
                path: "/crossinvoke/x/".parse().unwrap(),
            }),
            granted,
            recorded: set(recorded),
            planned_here: set(planned_here),
            verified: BTreeSet::new(),
        }
    }

    #[test]
    fn entries_follow_who_may_keep_and_who_may_add() {
        use Usage::{DoesNot, Unknown, Uses};
        let cases: &[(&str, &[&str], AssumeUser, bool)] = &[
            ("another's entry in place stays", &["b"], user(Uses, "b", true, &["b"], &[]), true),
            ("also when its status was wiped", &["b"], user(Uses, "b", true, &[], &[]), true),
            ("also when its pipeline was not read yet", &["b"], user(Unknown, "b", true, &[], &[]), true),
            ("also when its grant was revoked", &["b"], user(Uses, "b", false, &[], &[]), true),
            ("not when its pipeline uses another role", &["b"], user(DoesNot, "b", true, &[], &[]), false),
            ("what it recorded under its old spec stays", &["b"], user(DoesNot, "b", false, &["b"], &[]), true),
            ("an older role of a granted object stays", &["b"], user(Uses, "x", true, &["b"], &[]), true),
            ("a neighbour's role claimed without a grant does not", &["b"], user(Uses, "x", false, &["b"], &[]), false),
            ("what was planned stays when the grant is revoked", &["b"], user(DoesNot, "x", false, &[], &["b"]), true),
            ("and is not added again", &[], user(Uses, "b", false, &[], &["b"]), false),
            ("what it has not made yet is left to itself", &[], user(Uses, "b", true, &[], &[]), false),
            ("recorded and granted survives a stale read", &[], user(Uses, "b", true, &["b"], &[]), true),
            ("recorded without a grant adds nothing", &[], user(Uses, "b", false, &["b"], &[]), false),
            ("a forged record of a foreign role adds nothing", &[], user(Uses, "x", true, &["b"], &[]), false),
            ("an entry of its role at another path is its own as well", &["b"], user(Uses, "b", true, &[], &[]), true),
            ("what this process planned is there whatever is read", &[], user(Uses, "b", true, &[], &["b"]), true),
        ];
        for (what, in_place, other, expected) in cases {
            let entries = union(&set(in_place), &set(&["own"]), std::slice::from_ref(other));
            assert_eq!(entries.contains(&role("b")), *expected, "{what}");
            assert!(entries.contains(&role("own")), "{what}");
        }
    }

    #[test]
    fn an_entry_of_nobody_goes() {
        assert_eq!(union(&set(&["stray", "own"]), &set(&["own"]), &[]), set(&["own"]));
    }
}
