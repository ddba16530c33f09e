//! [`catena_fuzz::chain`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::chain::run(data));
