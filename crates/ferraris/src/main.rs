//! The ferraris command.

fn main() {}
