struct Counter;

#[polyport::object]
impl Counter {
    #[setter]
    pub fn set_value(&self, value: i64) {}
}

fn main() {}
