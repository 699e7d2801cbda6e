//! A process: the machine, and what the shell and the objects' side remember beside it.

use std::collections::BTreeMap;

use crossinvoke::{
    domain::{fold::Claim, observed::Pipeline, own_writes::OwnWrites},
    engine::pipeline::{Failure, Input, Machine},
};

use super::{
    aws::time,
    checks::Checked,
    history::{MINUTE, Millis},
    world::{Error, no_writes, resource},
};

/// Within this time an update that was sent may yet be applied, and a read may show what was before.
const UNCERTAIN: Millis = 8 * MINUTE;

/// What an object knows of its claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    Waits,
    Ended,
}

pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) machine: Machine<Error>,
    pub(crate) wake: Option<Millis>,
    /// Whether the answer to a call is awaited.
    pub(crate) outstanding: bool,
    pub(crate) writes_in_flight: usize,
    pub(crate) stalled_until: Millis,
    pub(crate) is_ending: bool,
    pub(crate) claims: BTreeMap<String, (Claim, Told)>,
    pub(crate) looks: BTreeMap<usize, Millis>,
    /// Where this process saw the action of an object in place.
    pub(crate) settled: BTreeMap<String, (String, String)>,
    pub(crate) writes: OwnWrites,
    sending: i64,
    uncertain_until: Millis,
    /// What the machine was shown.
    pub(crate) read: Option<Pipeline>,
    pub(crate) restored: Option<Pipeline>,
    pub(crate) checked: Option<Checked>,
}

impl Process {
    pub(crate) fn new(id: u32, machine: Machine<Error>, now: Millis, clean: bool) -> Self {
        Self {
            id,
            machine,
            wake: None,
            outstanding: false,
            writes_in_flight: 0,
            stalled_until: 0,
            is_ending: false,
            claims: BTreeMap::new(),
            looks: BTreeMap::new(),
            settled: BTreeMap::new(),
            writes: no_writes(),
            sending: 0,
            uncertain_until: if clean { 0 } else { now + UNCERTAIN },
            read: None,
            restored: None,
            checked: None,
        }
    }

    pub(crate) fn sends(&mut self, base: i64, now: Millis) {
        self.writes_in_flight += 1;
        self.sending = base;
        // Taken back where AWS says that it applied nothing, which makes no difference to what is tested.
        let _ = self.writes.note_sent(&resource(), Some(base.to_string()), Some((base + 1).to_string()), time(now));
    }

    /// Takes note of an answer on its way to the machine.
    pub(crate) fn note(&mut self, input: &Input<Error>, checked: Option<Checked>, now: Millis) {
        match input {
            Input::Read(Ok(Some(read))) => self.read = Some(read.clone()),
            Input::ReadVersion(Ok(Some(read))) if !self.machine.is_settling() => self.restored = Some(read.clone()),
            Input::Checked(Ok(_)) => self.checked = checked.map(|checked| Checked { taken: now, ..checked }),
            Input::Wrote(answer) => {
                self.writes_in_flight -= 1;
                let long = match answer {
                    Ok(_) => 3 * MINUTE,
                    Err(Failure::Unknown(_)) => UNCERTAIN,
                    Err(_) => 0,
                };
                self.uncertain_until = self.uncertain_until.max(now + long);
                let after = match answer {
                    Ok(written) => Some(written.version),
                    Err(Failure::Unknown(_)) => Some(self.sending + 1),
                    Err(_) => None,
                };
                let (before, resource) = (Some(self.sending.to_string()), resource());
                let after = after.map_or(before.clone(), |after| Some(after.to_string()));
                self.writes.note_write(&resource, before, after, time(now));
            }
            _ => {}
        }
    }

    /// Whether what a read shows cannot change by something that was sent already.
    pub(crate) fn is_settled(&self, now: Millis) -> bool {
        self.writes_in_flight == 0 && now >= self.uncertain_until
    }
}
