//! Many bytes at once: where a nested value ends, and how far a string is plain.

use wide::u8x16;

/// How much is looked at at once; each byte is one bit of a `u64`.
const BLOCK: usize = 64;

/// How much is looked at at once in strings, most of which are shorter.
const LANES: usize = 16;

/// Looks for the end of an object or a list by counting brackets outside of strings, and remembers where it is when the
/// bytes come in pieces. It does not recurse, so nothing can be nested too deeply for it.
///
/// It does not compare the kinds of the brackets, and looks at nothing else: what stands between them may be anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nesting {
    depth: usize,
    /// All ones inside of a string, else 0.
    in_string: u64,
    /// 1 right after a backslash that escapes what follows, else 0.
    escaped: u64,
}

impl Nesting {
    /// Goes on through these bytes: how many of them there are up to the bracket that closes the first one, if it is here.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = self.block(block) {
                return Some(index * BLOCK + end);
            }
        }
        let end = rest.iter().position(|byte| self.byte(*byte))?;
        Some(blocks.len() * BLOCK + end + 1)
    }

    #[inline]
    fn block(&mut self, block: &[u8; BLOCK]) -> Option<usize> {
        let masks = Masks::of(block);
        let quotes = masks.quotes & !self.escapes(masks.backslashes);
        let in_string = odd_so_far(quotes) ^ self.in_string;
        self.in_string = 0u64.wrapping_sub(in_string >> (BLOCK - 1));
        let (opening, closing) = (masks.opening & !in_string, masks.closing & !in_string);
        let closed = closing.count_ones() as usize;
        if closed < self.depth {
            self.depth = self.depth + opening.count_ones() as usize - closed;
            return None;
        }
        // The end may be here.
        let mut brackets = opening | closing;
        while brackets != 0 {
            let bracket = brackets & brackets.wrapping_neg();
            if self.bracket(opening & bracket != 0) {
                return Some(bracket.trailing_zeros() as usize + 1);
            }
            brackets ^= bracket;
        }
        None
    }

    /// The bytes of a block that are escaped by the byte before them; it matters for quotes only.
    #[inline]
    fn escapes(&mut self, mut backslashes: u64) -> u64 {
        let mut escaped = std::mem::take(&mut self.escaped);
        backslashes &= !escaped;
        while backslashes != 0 {
            let backslash = backslashes & backslashes.wrapping_neg();
            let next = backslash << 1;
            self.escaped = u64::from(next == 0);
            escaped |= next;
            backslashes &= !(backslash | next);
        }
        escaped
    }

    /// The same for a single byte: whether the value ends with it.
    fn byte(&mut self, byte: u8) -> bool {
        let is_escaped = std::mem::take(&mut self.escaped) == 1;
        match byte {
            b'"' if !is_escaped => self.in_string = !self.in_string,
            b'\\' if !is_escaped => self.escaped = 1,
            b'{' | b'[' if self.in_string == 0 => return self.bracket(true),
            b'}' | b']' if self.in_string == 0 => return self.bracket(false),
            _ => {}
        }
        false
    }

    fn bracket(&mut self, opens: bool) -> bool {
        self.depth = if opens { self.depth + 1 } else { self.depth.saturating_sub(1) };
        self.depth == 0
    }
}

/// Where in a block certain bytes are, the first byte in the lowest bit.
struct Masks {
    quotes: u64,
    backslashes: u64,
    /// `{` and `[`
    opening: u64,
    /// `}` and `]`
    closing: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut masks = Self { quotes: 0, backslashes: 0, opening: 0, closing: 0 };
        let lanes = block.as_chunks::<LANES>().0;
        for (index, lanes) in lanes.iter().enumerate() {
            let lanes = u8x16::new(*lanes);
            let mask = |lanes: u8x16, byte| {
                u64::from(lanes.simd_eq(u8x16::splat(byte)).to_bitmask()) << (index * LANES)
            };
            masks.quotes |= mask(lanes, b'"');
            masks.backslashes |= mask(lanes, b'\\');
            // This bit is all that a brace has more than the square bracket.
            let braces = lanes | u8x16::splat(b'{' ^ b'[');
            masks.opening |= mask(braces, b'{');
            masks.closing |= mask(braces, b'}');
        }
        masks
    }
}

/// Each bit is set where an odd number of bits is set up to it, itself included.
const fn odd_so_far(mut bits: u64) -> u64 {
    let mut shift = 1;
    while shift < u64::BITS {
        bits ^= bits << shift;
        shift *= 2;
    }
    bits
}

/// How many bytes at the start are characters of a string that stand for themselves: up to a quote, a backslash or a
/// control character.
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let mut plain = 0;
    while let Some(lanes) = bytes[plain..].first_chunk::<LANES>() {
        let lanes = u8x16::new(*lanes);
        let special = lanes.simd_eq(u8x16::splat(b'"'))
            | lanes.simd_eq(u8x16::splat(b'\\'))
            | lanes.min(u8x16::splat(0x1f)).simd_eq(lanes);
        let special = special.to_bitmask();
        if special != 0 {
            return plain + special.trailing_zeros() as usize;
        }
        plain += LANES;
    }
    let rest = &bytes[plain..];
    plain + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f)).unwrap_or(rest.len())
}
