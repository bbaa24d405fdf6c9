struct Counter(i64);

#[polyport::object]
impl Counter {
    pub fn next(&mut self) -> i64 {
        self.0
    }
}

fn main() {}
