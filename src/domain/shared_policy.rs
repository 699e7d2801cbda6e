//! What a policy that several objects share must hold. An entry leaves only on proof: its object releases it, or AWS
//! shows that no role of this installation stands behind it. That no known object asks for an entry proves nothing,
//! since an object may be in a namespace that is not watched, or may not decode.
//!
//! The sources that say what the other objects need are trusted differently, because a tenant may be able to write status.
//! What is in place may be kept on a weak word, since keeping it gives nobody anything new.
//!
//! | Source | may keep an entry in place | may add an entry | may block (a neighbour's action, a changed role explained) | may hold an `AwsAccount` |
//! |---|---|---|---|---|
//! | the role that the spec asks for, under a grant of today | yes | what is also recorded under its pipeline's role, or planned | yes | with our finalizer |
//! | the role of the object's derived name, without a grant | yes | no | yes | no |
//! | what this process planned | yes | under a grant of today | yes | once it is recorded |
//! | an inventory under a grant of today | yes | the object's own role, under its pipeline's role as read | no | yes |
//! | an inventory without a grant | the object's own role | no | no | yes |
//! | the tags of a role in AWS | yes | no | yes | no |

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ids::{Arn, InstallationId, ObjectKey, RoleId, RolePath},
    names::{INSTALLATION_TAG, OWNER_TAG},
};

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
        arn.is_of(&self.role)
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
    /// Whether the role is one of this object's: the one that it asks for, or one that this process planned for it. That
    /// its status names a role proves nothing: it may be the role of an action that nobody of this installation made.
    #[must_use]
    pub fn has(&self, role: &Arn) -> bool {
        self.planned_here.contains(role) || self.invoke_role.as_ref().is_some_and(|wanted| wanted.is(role))
    }

    /// All such roles.
    pub fn roles(&self) -> impl Iterator<Item = RoleId> {
        let wanted = self.invoke_role.iter().map(|wanted| wanted.role.clone());
        self.planned_here.iter().filter_map(Arn::role).chain(wanted)
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
        // Recorded by an earlier process and perhaps hidden by a stale read: only what it may have today, and only under
        // the role of the pipeline that it asks for, as this process has read it. Its status may name any pipeline role.
        let uses = other.granted && other.usage == Usage::Uses;
        let granted = other.invoke_role.as_ref().filter(|_| uses);
        entries.extend(
            other.recorded.iter().filter(|role| granted.is_some_and(|wanted| wanted.is_exactly(role))).cloned(),
        );
    }
    entries
}

/// What AWS showed of the role that an entry names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Behind {
    /// No role of this ARN exists.
    Nothing,
    /// A role without this installation's tag.
    Foreign,
    /// A role with this installation's tag, and the object that its owner tag names.
    Ours(Option<ObjectKey>),
    /// The role could not be read, or was not asked for.
    Unknown,
}

impl Behind {
    /// What a role with these tags is.
    #[must_use]
    pub fn of_tags(tags: &BTreeMap<String, String>, installation: &InstallationId) -> Self {
        if tags.get(INSTALLATION_TAG).map(String::as_str) != Some(installation.as_str()) {
            return Self::Foreign;
        }
        Self::Ours(tags.get(OWNER_TAG).and_then(|owner| owner.parse().ok()))
    }
}

/// What decides whether an entry that no object asks for may leave.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// What stands behind entries that no object asks for.
    pub behind: BTreeMap<Arn, Behind>,
    /// Objects that release what they have: they are being deleted and their actions are gone.
    pub released: BTreeSet<ObjectKey>,
    /// While an object that the tools account may grant something is not known, only what the object at hand releases may
    /// leave.
    pub nothing_else_leaves: bool,
}

impl Proof {
    /// Whether a role belongs to an object that is known to need nothing: `own`, which is asked otherwise, or one that
    /// releases what it has.
    #[must_use]
    pub fn is_released(&self, behind: &Behind, own: &ObjectKey) -> bool {
        matches!(behind, Behind::Ours(Some(owner)) if owner == own || self.released.contains(owner))
    }

    /// Whether nothing stands behind an entry, or only what is released.
    #[must_use]
    pub fn lets_go(&self, behind: Option<&Behind>, own: &ObjectKey) -> bool {
        match behind {
            Some(Behind::Ours(Some(owner))) if owner == own => true,
            _ if self.nothing_else_leaves => false,
            Some(Behind::Nothing | Behind::Foreign) => true,
            Some(behind @ Behind::Ours(_)) => self.is_released(behind, own),
            Some(Behind::Unknown) | None => false,
        }
    }
}

/// The entries of an assume policy.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entries {
    /// All that it must name.
    pub named: BTreeSet<Arn>,
    /// Those of them that no object asks for, and that stay because an action uses them or nothing proves that they may go.
    pub unexplained: BTreeSet<Arn>,
}

/// The entries in place that neither `own` nor any of the others explains.
#[must_use]
pub fn unexplained(in_place: &BTreeSet<Arn>, own: &BTreeSet<Arn>, others: &[AssumeUser]) -> BTreeSet<Arn> {
    in_place.difference(&union(in_place, own, others)).cloned().collect()
}

/// What the assume policy must name: what objects ask for, what an action of the pipeline uses, and everything else in
/// place that `may_leave` does not let go.
#[must_use]
pub fn entries(
    in_place: &BTreeSet<Arn>,
    own: &BTreeSet<Arn>,
    others: &[AssumeUser],
    used: &BTreeSet<Arn>,
    may_leave: impl Fn(&Arn) -> bool,
) -> Entries {
    let mut named = union(in_place, own, others);
    // CodePipeline refuses every update of a pipeline that names a role which its own role may not assume.
    let stays = |entry: &&Arn| used.contains(*entry) || !may_leave(entry);
    let unexplained: BTreeSet<Arn> = in_place.difference(&named).filter(stays).cloned().collect();
    named.extend(unexplained.iter().cloned());
    Entries { named, unexplained }
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
            (
                "recorded under a role that its pipeline does not use adds nothing",
                &[],
                user(DoesNot, "b", true, &["b"], &[]),
                false,
            ),
            (
                "recorded under a role that its pipeline may not use either",
                &[],
                user(Unknown, "b", true, &["b"], &[]),
                false,
            ),
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
    fn a_role_is_an_objects_by_its_spec_or_by_what_was_planned_and_never_by_its_status() {
        for (what, user, is_its) in [
            ("what it asks for", user(Usage::Uses, "b", false, &[], &[]), true),
            ("what was planned for it", user(Usage::Uses, "x", true, &[], &["b"]), true),
            ("what its status says under a grant", user(Usage::Uses, "x", true, &["b"], &[]), false),
            ("what its status says without one", user(Usage::DoesNot, "x", false, &["b"], &[]), false),
        ] {
            assert_eq!(user.has(&role("b")), is_its, "{what}");
            assert_eq!(user.roles().any(|known| Some(known) == role("b").role()), is_its, "{what}");
        }
    }

    #[test]
    fn an_entry_that_no_object_asks_for_goes_only_on_proof() {
        let key = |name: &str| ObjectKey { namespace: "n".to_owned(), name: name.to_owned() };
        let proof = Proof { released: BTreeSet::from([key("released")]), ..Proof::default() };
        let own = key("own");
        let cases: [(&str, Option<Behind>, bool); 8] = [
            ("no role stands behind it", Some(Behind::Nothing), false),
            ("a role of somebody else", Some(Behind::Foreign), false),
            ("a role of an object that is not known here", Some(Behind::Ours(Some(key("elsewhere")))), true),
            ("a role of this installation without an owner", Some(Behind::Ours(None)), true),
            ("an older role of the object at hand", Some(Behind::Ours(Some(own.clone()))), false),
            ("a role of an object that releases it", Some(Behind::Ours(Some(key("released")))), false),
            ("a role that could not be read", Some(Behind::Unknown), true),
            ("a role that was not asked for", None, true),
        ];
        for (what, behind, stays) in cases {
            let let_go = |_: &Arn| proof.lets_go(behind.as_ref(), &own);
            let found = entries(&set(&["stray", "own"]), &set(&["own"]), &[], &BTreeSet::new(), let_go);
            let unexplained = if stays { set(&["stray"]) } else { BTreeSet::new() };
            assert_eq!(found.unexplained, unexplained, "{what}");
            assert_eq!(found.named, unexplained.union(&set(&["own"])).cloned().collect(), "{what}");
        }
    }

    #[test]
    fn while_an_object_is_not_known_only_what_is_released_here_leaves() {
        let key = |name: &str| ObjectKey { namespace: "n".to_owned(), name: name.to_owned() };
        let proof = Proof { nothing_else_leaves: true, released: BTreeSet::from([key("other")]), ..Proof::default() };
        let lets_go = |behind: Behind| proof.lets_go(Some(&behind), &key("own"));
        assert!(lets_go(Behind::Ours(Some(key("own")))));
        assert!(!lets_go(Behind::Ours(Some(key("other")))) && !lets_go(Behind::Nothing) && !lets_go(Behind::Foreign));
    }

    #[test]
    fn an_entry_that_an_action_of_the_pipeline_uses_stays_and_is_never_added() {
        let found = |in_place: &[&str]| entries(&set(in_place), &set(&["own"]), &[], &set(&["used"]), |_| true);
        assert_eq!(found(&["used", "stray"]).named, set(&["own", "used"]));
        assert_eq!(found(&["used", "stray"]).unexplained, set(&["used"]));
        assert_eq!(found(&["stray"]).named, set(&["own"]));
    }

    #[test]
    fn tags_tell_whose_role_it_is() {
        let installation: InstallationId = "installed".parse().unwrap();
        let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let key = ObjectKey { namespace: "n".to_owned(), name: "x".to_owned() };
        for (tags, expected) in [
            (tags(&[]), Behind::Foreign),
            (tags(&[(OWNER_TAG, "n/x")]), Behind::Foreign),
            (tags(&[(INSTALLATION_TAG, "another"), (OWNER_TAG, "n/x")]), Behind::Foreign),
            (tags(&[(INSTALLATION_TAG, "installed")]), Behind::Ours(None)),
            (tags(&[(INSTALLATION_TAG, "installed"), (OWNER_TAG, "n/x")]), Behind::Ours(Some(key))),
        ] {
            assert_eq!(Behind::of_tags(&tags, &installation), expected, "{tags:?}");
        }
    }
}
