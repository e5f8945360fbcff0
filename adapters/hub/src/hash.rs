//! A short stand-in for a text that is compared with one or a few others.

/// FNV-1a: for continue tokens of one LIST and the uids of one name, of which nothing but a wrong guess comes of two that are
/// the same.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
