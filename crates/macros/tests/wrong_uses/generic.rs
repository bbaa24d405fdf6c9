#[polyport::function]
fn add<T>(a: T) -> i64 {
    1
}

fn main() {}
