#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| podwait_tests::fuzz::hub(data));
