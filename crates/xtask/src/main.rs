//! Every command a contributor types.
fn main() {}
