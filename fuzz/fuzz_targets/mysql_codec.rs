#![no_main]

// The codec alone, where a finding is nearest to its cause.
libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_mysql::fuzzing::codec(data));
