#[polyport::function]
fn add(a: &str) -> i64 {
    1
}

fn main() {}
