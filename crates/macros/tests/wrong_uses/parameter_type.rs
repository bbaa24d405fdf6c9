struct Point;

#[polyport::function]
fn add(a: Point) -> i64 {
    1
}

fn main() {}
