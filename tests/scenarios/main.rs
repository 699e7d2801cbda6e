//! The controller as users run it: the built binary against a real API server and the AWS double over the real wire.
//!
//! One control plane for all scenarios, each with a namespace, accounts and a controller process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "these are tests, of which clippy sees only a main; a scenario reads best whole"
)]

mod admission;
mod budgeting;
mod changing;
mod confirming;
mod converging;
mod costing;
mod crowding;
mod deleting;
mod denials;
mod doubting;
mod drifting;
mod entering;
mod folding;
mod forging;
mod gating;
mod gitops;
mod holding;
mod hostile;
mod installing;
mod isolating;
mod keeping;
mod kubernetes_rights;
mod lagging;
mod listing;
mod pipelines;
mod proving;
mod reading;
mod reading_once;
mod refusing;
mod renewing;
mod repairing;
mod replaying;
mod reporting;
mod resisting;
mod restarting;
mod rights;
mod running;
mod scanning;
mod second_opinion;
mod security;
mod seeing;
mod serving;
mod sharing;
mod showing;
mod slowing;
mod spacing;
mod suite;
mod support;
mod trusting;
mod waiting;
mod watching;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The control plane's supervisor is this very binary, started again.
    crossinvoke_harness::supervise_if_asked();
    suite::run(vec![
        admission::scenarios(),
        confirming::scenarios(),
        converging::scenarios(),
        repairing::scenarios(),
        scanning::scenarios(),
        doubting::scenarios(),
        drifting::scenarios(),
        keeping::scenarios(),
        lagging::scenarios(),
        pipelines::scenarios(),
        resisting::scenarios(),
        refusing::scenarios(),
        renewing::scenarios(),
        denials::scenarios(),
        gating::scenarios(),
        changing::scenarios(),
        waiting::scenarios(),
        reporting::scenarios(),
        gitops::scenarios(),
        running::scenarios(),
        sharing::scenarios(),
        costing::scenarios(),
        crowding::scenarios(),
        proving::scenarios(),
        deleting::scenarios(),
        restarting::scenarios(),
        entering::scenarios(),
        trusting::scenarios(),
        serving::scenarios(),
        holding::scenarios(),
        budgeting::scenarios(),
        showing::scenarios(),
        isolating::scenarios(),
        installing::scenarios(),
        reading::scenarios(),
        reading_once::scenarios(),
        listing::scenarios(),
        second_opinion::scenarios(),
        rights::scenarios(),
        security::scenarios(),
        seeing::scenarios(),
        hostile::scenarios(),
        folding::scenarios(),
        watching::scenarios(),
        slowing::scenarios(),
        spacing::scenarios(),
        replaying::scenarios(),
        forging::scenarios(),
    ])
}
