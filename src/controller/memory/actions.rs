//! Our actions as they were last read in place: should somebody change the role of one or take it out, it is known by that.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use super::{ActionPlace, Memory};
use crate::domain::{
    ids::{Arn, StageName},
    pipeline_edit::{Beside, Json, Placed},
};

/// One of them. It is kept as text, which takes a fifth of the room.
#[derive(Debug)]
pub(super) struct Action {
    place: ActionPlace,
    text: Box<str>,
    stage: Arc<[Beside]>,
}

/// The actions of each stage, which all of our actions there share.
#[derive(Debug, Default)]
pub(super) struct Stages(HashMap<(Arn, StageName), Weak<[Beside]>>);

impl Stages {
    fn shared(&mut self, (pipeline, stage, _): &ActionPlace, actions: Arc<[Beside]>) -> Arc<[Beside]> {
        let known = self.0.entry((pipeline.clone(), stage.clone())).or_insert_with(|| Arc::downgrade(&actions));
        if let Some(same) = known.upgrade().filter(|known| *known == actions) {
            return same;
        }
        *known = Arc::downgrade(&actions);
        actions
    }

    /// Forgets those that nobody remembers.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, actions| actions.strong_count() > 0);
    }
}

impl Memory {
    /// Remembers an action as it was read in place.
    pub fn note_action(&self, uid: &str, place: ActionPlace, action: Placed) {
        let mut inner = self.lock();
        let stage = inner.stages.shared(&place, action.stage);
        let text = action.action.to_string().into();
        inner.of(uid).action = Some(Box::new(Action { place, text, stage }));
    }

    /// The object's action in this place as this process last read it in place.
    pub fn action_in_place(&self, uid: &str, place: &ActionPlace) -> Option<Placed> {
        let inner = self.lock();
        let known = inner.known.get(uid)?.action.as_deref().filter(|known| known.place == *place)?;
        // What was written by us can be read by us.
        Some(Placed { action: Json::parse(&known.text).ok()?, stage: known.stage.clone() })
    }
}
