#![no_main]

use polyport_mysql::{Config, Mysql};

// From the first byte: what a stranger can send before the login.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    polyport_fuzz::run(|| Mysql::new(Config::default()), None, data);
});
