//! The controller as users run it: the built binary against a real API server and the AWS double over the real wire.
//!
//! One control plane for all scenarios, each with a namespace, accounts and a controller process of its own.

mod converging;
mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The control plane's supervisor is this very binary, started again.
    crossinvoke_harness::supervise_if_asked();
    suite::run(vec![converging::scenarios()])
}
