//! `fakeaws --seed FILE`: serves the double until it is stopped.

fn main() {}
