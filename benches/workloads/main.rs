//! Trial.
fn main() {}
