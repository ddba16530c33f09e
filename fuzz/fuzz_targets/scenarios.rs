//! [`catena_fuzz::scenarios`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::scenarios::run(data));
