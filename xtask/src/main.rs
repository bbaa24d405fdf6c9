//! Tasks of the project that are longer than a line.

fn main() {}
