//! Which looks are regular: the last one found everything in place, its interval is over, and meanwhile nothing changed and
//! nobody asked. Such a look may accept what was read for others since the last one; every other look reads again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::ids::ObjectKey;

#[derive(Clone, Copy, Debug)]
enum State {
    /// A look is under way, and nothing happened since it began.
    Looking,
    /// Everything was in place at the last look.
    Waiting { read: Instant, due: Instant },
}

/// What is known of each object's next look. Of an object that is not listed it is not regular.
#[derive(Debug, Default)]
pub struct Regular {
    states: Mutex<HashMap<ObjectKey, State>>,
}

impl Regular {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object or what it rests on has changed, or somebody asks for a look at it.
    pub fn disturb(&self, object: &ObjectKey) {
        self.lock().remove(object);
    }

    /// A look begins. If it is regular, what is returned is when the last one had read everything.
    pub fn begin(&self, object: &ObjectKey, now: Instant) -> Option<Instant> {
        match self.lock().insert(object.clone(), State::Looking) {
            Some(State::Waiting { read, due }) if due <= now => Some(read),
            _ => None,
        }
    }

    /// A look that had read everything at that time found it in place, and the next one is due after this long.
    pub fn in_place(&self, object: &ObjectKey, read: Instant, next: Duration) {
        if let Some(state) = self.lock().get_mut(object) {
            *state = State::Waiting { read, due: Instant::now() + next };
        }
    }

    /// Forgets every object but those of which this is true.
    pub fn retain(&self, exists: impl Fn(&ObjectKey) -> bool) {
        self.lock().retain(|object, _| exists(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(10);

    fn object() -> ObjectKey {
        ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() }
    }

    #[test]
    fn only_a_look_at_its_time_that_nothing_caused_is_regular() {
        let (regular, object, start) = (Regular::default(), object(), Instant::now());
        let later = start + 2 * INTERVAL;
        assert_eq!(regular.begin(&object, start), None, "the first one");
        regular.in_place(&object, start, INTERVAL);
        assert_eq!(regular.begin(&object, start + INTERVAL / 2), None, "before its time");
        regular.in_place(&object, start, INTERVAL);
        assert_eq!(regular.begin(&object, later), Some(start));
        assert_eq!(regular.begin(&object, later), None, "the last one did not find everything in place");
        regular.in_place(&object, start, INTERVAL);
        regular.disturb(&object);
        assert_eq!(regular.begin(&object, later), None, "something changed in between");
        regular.disturb(&object);
        regular.in_place(&object, start, INTERVAL);
        assert_eq!(regular.begin(&object, later), None, "something changed while it was looked at");
        regular.in_place(&object, start, INTERVAL);
        regular.retain(|_| false);
        assert_eq!(regular.begin(&object, later), None, "it was forgotten");
    }
}
