struct Point;

#[polyport::function]
fn add(a: i64) -> Point {
    Point
}

fn main() {}
