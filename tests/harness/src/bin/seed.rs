//! Prints the demo's three accounts as a seed for `fakeaws --seed`.

use std::process::ExitCode;

use crossinvoke_harness::Accounts;

fn main() -> ExitCode {
    let seed = Accounts::of_demo().seed().map_err(|error| error.to_string());
    let text = seed.and_then(|seed| serde_json::to_string_pretty(&seed).map_err(|error| error.to_string()));
    match text {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("seed: {error}");
            ExitCode::FAILURE
        }
    }
}
