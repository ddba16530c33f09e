//! [`catena_fuzz::stores`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::stores::run(data));
