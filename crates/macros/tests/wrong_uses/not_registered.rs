fn add(a: i64) -> i64 {
    a
}

struct Plain;

fn build() -> polyport::Builder {
    polyport::Server::builder().object("plain", Plain)
}

fn main() {}
