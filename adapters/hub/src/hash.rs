//! A short hash in place of a text that is compared with one or a few others.

use core::num::NonZeroU64;

/// A text's hash. Not 0, so that an `Option` of it is no larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TextHash(NonZeroU64);

impl TextHash {
    /// FNV-1a: for the continue tokens of one LIST and the uids of one name. A collision only leads to a wrong guess.
    pub(crate) fn of(text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::TextHash;

    /// Values of FNV-1a as its authors publish them.
    #[test]
    fn it_is_the_published_one() {
        let hash = |text| TextHash::of(text).0.get();
        assert_eq!(
            (hash(""), hash("a"), hash("foobar")),
            (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8)
        );
    }
}
