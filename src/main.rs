//! The `crossinvoke` binary.

fn main() {}
