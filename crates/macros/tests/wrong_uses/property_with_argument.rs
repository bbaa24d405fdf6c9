struct Counter;

#[polyport::object]
impl Counter {
    #[property]
    pub fn value(&self, at: i64) -> i64 {
        at
    }
}

fn main() {}
