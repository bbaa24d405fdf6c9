#[polyport::function]
fn add(&self, a: i64) -> i64 {
    a
}

fn main() {}
