//! House rules as a program.

fn main() {}
