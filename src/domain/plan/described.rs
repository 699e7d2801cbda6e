//! The five parts as they shall be and as they are, field by field: what drift is told from and what a digest is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Situation, Stays, access, comparison::Transition, policy_state, role_resource, role_state};
use crate::domain::{
    ids::{Arn, RoleId},
    inventory::{Item, Part},
    names,
    observed::{Observed, Resource},
    own_writes::State,
    pipeline_edit, policy,
    spec::Trust,
};

/// One field of a part: what it means, to be compared, and what may be shown of it.
pub type FieldValue = pipeline_edit::Member;

/// The field of an assume policy that stands for the entries of other objects.
pub const OTHERS_ENTRIES: &str = "entries of other objects";
/// The field of an assume policy that stands for entries that no object asks for.
pub const STRAY_ENTRIES: &str = "entries that no object asks for";

/// The fields of a part by name.
pub type Fields = BTreeMap<String, FieldValue>;

/// One part.
#[derive(Clone, Debug)]
pub struct Described {
    /// Which thing in AWS it is, as the inventory names it.
    pub item: Item,
    /// What is read and written as a whole, for telling stale reads.
    pub resource: Resource,
    /// What was read there.
    pub state: State,
    /// The thing in words, such as "trust policy of role X in 222222222222", without an article.
    pub noun: String,
    /// What a person misses when it is not as it shall be, such as "trusted pipeline role Y".
    pub purpose: String,
    /// As it shall be.
    pub desired: Fields,
    /// As it is; `None` when it does not exist.
    pub observed: Option<Fields>,
    /// Fields of `observed` that nobody declared and that stay: they only take away.
    pub tolerated: BTreeSet<String>,
    /// Fields whose correction AWS refused while all else went on, with its words.
    pub refused: BTreeMap<String, String>,
    /// Fields that another object's inventory vouches for: this one's digest says nothing of them.
    pub vouched: BTreeSet<String>,
    /// Whether a trust policy trusts the whole tools account or everybody, without a condition.
    pub wider: bool,
    /// Whether what is there includes all that shall be there, so that something was added and nothing taken.
    pub includes_desired: bool,
}

impl Described {
    /// Whether what is there is what shall be there, apart from what is tolerated.
    #[must_use]
    pub fn in_place(&self) -> bool {
        let Some(observed) = &self.observed else { return false };
        let counted = |fields: &Fields| -> BTreeMap<String, String> {
            let stays = |name: &String| self.tolerated.contains(name) || self.refused.contains_key(name);
            let fields = fields.iter().filter(|(name, _)| !stays(name));
            fields.map(|(name, value)| (name.clone(), value.meaning.clone())).collect()
        };
        counted(observed) == counted(&self.desired)
    }
}

/// Describes all parts. `entries` are those of P3.
pub(super) fn described(
    situation: &Situation<'_>,
    observed: &Observed,
    transition: &Transition<'_>,
    entries: &BTreeSet<Arn>,
) -> Vec<Described> {
    let desired = super::desired_inventory(situation, &transition.resolved);
    let describe = |item: &Item| match item.part {
        Part::InvokeRole => Some(invoke_role(situation, transition, item)),
        Part::InvokePolicy => Some(invoke_policy(situation, transition, item)),
        Part::CallbackPolicy => callback_policy(situation, observed, item),
        Part::AssumePolicy => assume_policy(situation, observed, entries, item),
        Part::PipelineAction => Some(pipeline_action(situation, transition, item)),
    };
    desired.0.iter().filter_map(describe).collect()
}

fn plain(meaning: impl Into<String>) -> FieldValue {
    let meaning = meaning.into();
    FieldValue { shown: meaning.clone(), meaning }
}

/// Several entries, compared by what they are and shown in other words.
fn counted(entries: &BTreeSet<&Arn>, shown: &str) -> FieldValue {
    let meaning = entries.iter().map(|entry| entry.as_str()).collect::<Vec<_>>().join(" ");
    FieldValue { meaning, shown: shown.to_owned() }
}

fn entries_of_others(number: usize) -> String {
    match number {
        1 => "1 entry of another object".to_owned(),
        more => format!("{more} entries of other objects"),
    }
}

fn document(name: &str, document: &Value) -> Fields {
    // Shown as it is written: the canonical text is in lower case and in another order.
    let value = FieldValue { meaning: policy::canonical(document), shown: document.to_string() };
    Fields::from([(name.to_owned(), value)])
}

fn invoke_role(situation: &Situation<'_>, transition: &Transition<'_>, item: &Item) -> Described {
    let (declared, resolved) = (situation.declared, &transition.resolved);
    let trust = access::desired_trust(situation, resolved, transition.kept());
    let tags = access::desired_tags(situation);
    let boundary = situation.granted.boundary.as_ref();
    let mut desired = document("trustPolicy", &trust);
    desired.extend(tags.iter().map(|(key, value)| (tag_field(key), plain(value))));
    desired.extend(boundary.map(|boundary| ("permissionsBoundary".to_owned(), plain(boundary.as_str()))));
    let (mut tolerated, mut refused) = (BTreeSet::new(), BTreeMap::new());
    let observed = resolved.role.map(|role| {
        let mut fields = document("trustPolicy", &role.trust);
        // Other tags (cost allocation, …) are not ours to judge.
        let gone = access::tags_to_take_away(situation, role);
        let ours = role.tags.iter().filter(|(key, _)| tags.contains_key(*key) || gone.contains(key));
        fields.extend(ours.map(|(key, value)| (tag_field(key), plain(value))));
        if let Some(found) = &role.boundary {
            fields.insert("permissionsBoundary".to_owned(), plain(found.as_str()));
            if boundary.is_none() {
                tolerated.insert("permissionsBoundary".to_owned());
            }
        }
        let platform = &situation.granted.tolerated_policies;
        for extra in role.extra_policies.iter().filter(|extra| !access::tolerates(platform, &extra.name)) {
            let name = extra.name.to_string();
            let content = match (extra.grants, extra.denies) {
                (true, true) => "allows something; what it denies goes with it",
                (true, false) => "allows something",
                (false, _) => "only denies",
            };
            match situation.staying.get(&name) {
                _ if !extra.grants => drop(tolerated.insert(name.clone())),
                Some(Stays::Returns) => drop(tolerated.insert(name.clone())),
                Some(Stays::Refused(why)) => drop(refused.insert(name.clone(), why.clone())),
                None => {}
            }
            fields.insert(name, plain(content));
        }
        fields
    });
    let purpose = match declared.trust {
        Trust::PipelineRole => format!("trusted pipeline role {}", resolved.pipeline.role),
        Trust::AccountRoot => format!("trusted tools account {}", declared.tools.account),
    };
    Described {
        item: item.clone(),
        resource: role_resource(declared, &declared.role_name),
        state: role_state(resolved.role),
        noun: format!("role {} in {}", declared.role_name, declared.dev.account),
        purpose,
        includes_desired: resolved.role.is_some_and(|role| policy::contains(&role.trust, &trust)),
        desired,
        observed,
        tolerated,
        refused,
        vouched: BTreeSet::new(),
        wider: resolved.role.is_some_and(|role| policy::trusts_whole_account(&role.trust, &declared.tools.account)),
    }
}

/// The name of a tag as a field.
pub(super) fn tag_field(key: &str) -> String {
    format!("tag {key}")
}

fn invoke_policy(situation: &Situation<'_>, transition: &Transition<'_>, item: &Item) -> Described {
    let (declared, resolved) = (situation.declared, &transition.resolved);
    let shall_be = access::desired_invoke_policy(situation, resolved, transition.kept());
    let is = resolved.role.and_then(|role| role.invoke_policy.as_ref());
    let name = names::invoke_policy(situation.installation);
    let noun = format!("inline policy {name} of role {} in {}", declared.role_name, declared.dev.account);
    let purpose = format!("let it invoke {}", resolved.function.arn);
    let (account, role) = (declared.dev.account.clone(), declared.role_name.clone());
    let resource = Resource::RolePolicy { account, role, policy: name };
    whole_policy(item, (noun, purpose), resource, (&shall_be, is))
}

fn callback_policy(situation: &Situation<'_>, observed: &Observed, item: &Item) -> Option<Described> {
    let RoleId { account, name: role } = item.holder.role()?;
    let is = observed.callback.get(&item.holder.role()?).and_then(Option::as_ref);
    let name = names::callback_policy(situation.installation);
    let noun = format!("inline policy {name} of execution role {role} in {account}");
    let purpose = "let the function report its result to CodePipeline".to_owned();
    let resource = Resource::RolePolicy { account, role, policy: name };
    Some(whole_policy(item, (noun, purpose), resource, (&policy::callback(), is)))
}

/// An inline policy that is nobody else's: what shall be there, and what is.
fn whole_policy(
    item: &Item,
    (noun, purpose): (String, String),
    resource: Resource,
    (shall_be, is): (&Value, Option<&Value>),
) -> Described {
    Described {
        item: item.clone(),
        resource,
        state: policy_state(is),
        noun,
        purpose,
        desired: document("policyDocument", shall_be),
        observed: is.map(|is| document("policyDocument", is)),
        tolerated: BTreeSet::new(),
        refused: BTreeMap::new(),
        vouched: BTreeSet::new(),
        wider: false,
        includes_desired: is.is_some_and(|is| policy::contains(is, shall_be)),
    }
}

/// P3 is shared: this object's part of it is its own role. The entries that others were seen to have are one field, and
/// those that nobody has another, so that a change that another object asked for is no drift.
fn assume_policy(
    situation: &Situation<'_>,
    observed: &Observed,
    all: &BTreeSet<Arn>,
    item: &Item,
) -> Option<Described> {
    let (holder, invoke_role) = (item.holder.role()?, item.entry.clone()?);
    let RoleId { account, name: role } = holder.clone();
    let is = observed.assume.get(&holder).and_then(Option::as_ref);
    let own = BTreeSet::from([invoke_role.clone()]);
    let users = situation.others.assume.get(&holder).map(Vec::as_slice).unwrap_or_default();
    let verified: BTreeSet<&Arn> = users.iter().flat_map(|user| &user.verified).collect();
    let mut desired = document("policyDocument", &policy::assume(&own));
    // Whose entries they are is for nobody but their owners: of the others the number is shown.
    let vouched: BTreeSet<&Arn> = all.iter().filter(|role| verified.contains(role) && !own.contains(*role)).collect();
    if !vouched.is_empty() {
        desired.insert(OTHERS_ENTRIES.to_owned(), counted(&vouched, &entries_of_others(vouched.len())));
    }
    let observed = is.map(|is| {
        let entries = policy::assume_entries(is).unwrap_or_default();
        if !policy::same_meaning(is, &policy::assume(&entries)) || entries.is_empty() {
            // It may name other objects' roles, which are for nobody but their owners.
            let shown = format!("a document of another form, {} characters", is.to_string().chars().count());
            return Fields::from([("policyDocument".to_owned(), FieldValue { meaning: policy::canonical(is), shown })]);
        }
        let mut fields = Fields::new();
        if entries.contains(&invoke_role) {
            fields = document("policyDocument", &policy::assume(&own));
        }
        let there: BTreeSet<&Arn> = vouched.iter().copied().filter(|role| entries.contains(*role)).collect();
        if !there.is_empty() {
            fields.insert(OTHERS_ENTRIES.to_owned(), counted(&there, &format!("{} of them", there.len())));
        }
        let released = situation.inventory.entries(Part::AssumePolicy, &holder);
        let stray: BTreeSet<&Arn> = entries
            .iter()
            .filter(|role| !own.contains(*role) && !all.contains(*role) && !released.contains(*role))
            .collect();
        if !stray.is_empty() {
            let text = match stray.len() {
                1 => "1 entry".to_owned(),
                more => format!("{more} entries"),
            };
            fields.insert(STRAY_ENTRIES.to_owned(), counted(&stray, &text));
        }
        fields
    });
    let name = names::assume_policy(situation.installation);
    Some(Described {
        item: item.clone(),
        noun: format!("inline policy {name} of pipeline role {role} in {account}"),
        purpose: format!("let it assume {invoke_role}"),
        resource: Resource::RolePolicy { account, role, policy: name },
        state: policy_state(is),
        includes_desired: is.is_some_and(|is| policy::assume_entries(is).unwrap_or_default().contains(&invoke_role)),
        desired,
        observed,
        tolerated: BTreeSet::new(),
        refused: BTreeMap::new(),
        vouched: BTreeSet::from([OTHERS_ENTRIES.to_owned()]),
        wider: false,
    })
}

fn pipeline_action(situation: &Situation<'_>, transition: &Transition<'_>, item: &Item) -> Described {
    let declared = situation.declared;
    let (tools, pipeline) = (&declared.tools, transition.resolved.pipeline);
    let (action, owned) = (&transition.action, &transition.owned);
    Described {
        item: item.clone(),
        resource: Resource::Pipeline {
            account: tools.account.clone(),
            region: tools.region.clone(),
            name: declared.pipeline.clone(),
        },
        state: super::pipeline_state(pipeline),
        noun: format!(
            "action {}/{} of pipeline {} in {}",
            declared.stage, declared.action, declared.pipeline, tools.account
        ),
        purpose: format!("invoked {}", transition.resolved.function.arn),
        desired: pipeline_edit::desired_members(&pipeline.declaration, action, &tools.region),
        observed: pipeline_edit::found_members(&pipeline.declaration, action, owned, &tools.region),
        tolerated: BTreeSet::new(),
        refused: BTreeMap::new(),
        vouched: BTreeSet::new(),
        wider: false,
        includes_desired: false,
    }
}
