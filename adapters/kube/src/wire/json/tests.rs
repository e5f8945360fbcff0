use super::scan::plain;
use super::*;

/// Numbers by lot, always the same.
struct Lot(u64);

impl Lot {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<const N: usize>(&mut self, alphabet: &[u8; N], longest: usize) -> Vec<u8> {
        let length = self.below(longest);
        (0..length).map(|_| alphabet[self.below(N)]).collect()
    }
}

/// Byte by byte, as it would be written without blocks.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        let is_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if !is_escaped => escaped = true,
            b'"' if !is_escaped => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn a_value_ends_where_it_ends_byte_by_byte_however_it_is_cut() {
    let mut lot = Lot(1);
    for _ in 0..20_000 {
        let mut bytes = b"{".to_vec();
        bytes.extend(lot.of(br#"{{{}}[]""\\\\ax:, "#, 300));
        let expected = end_of(&bytes);
        assert_eq!(Nesting::default().end(&bytes), expected, "{}", bytes.escape_ascii());
        let cut = lot.below(bytes.len());
        let mut nesting = Nesting::default();
        let cut_end = nesting.end(&bytes[..cut]).or_else(|| nesting.end(&bytes[cut..]).map(|end| cut + end));
        assert_eq!(cut_end, expected, "cut at {cut}: {}", bytes.escape_ascii());
    }
}

#[test]
fn a_string_is_plain_up_to_its_first_special_character() {
    let mut lot = Lot(2);
    for _ in 0..20_000 {
        let mut bytes = lot.of(b"abc {}\x7f\x20\x80\xff", 70);
        let plain_bytes = bytes.len();
        assert_eq!(plain(&bytes), plain_bytes);
        bytes.push(b"\"\\\x1f\x00\n"[lot.below(5)]);
        bytes.extend(lot.of(b"abc\"\\\x00", 70));
        assert_eq!(plain(&bytes), plain_bytes, "{}", bytes.escape_ascii());
    }
}

fn text(json: &str) -> Option<String> {
    let mut cursor = Cursor::new(json.as_bytes());
    let text = cursor.owned().ok()?;
    cursor.end().ok()?;
    Some(text)
}

#[test]
fn strings_are_read_as_serde_reads_them() {
    let cases = [
        r#""""#,
        r#""a""#,
        r#""äöü€😀""#,
        r#""a\"b\\c\/d\be\ff\ng\rh\ti""#,
        r#""\u0041\u00e4\u20ac\uD83D\uDE00\u0000""#,
        r#""\ud83d\ude00 after""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\ud83d""#,
        r#""\ud83d\u0041""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\u12""#,
        r#""\u+123""#,
        r#""\u12g4""#,
        r#""\x""#,
        r#""\"#,
        r#""\u"#,
        r#"""#,
        r#""a"#,
        "\"a\nb\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "a",
        "1",
        "{}",
        "",
        " \"a\" ",
        "\"a\"b",
        "'a'",
        r#""0123456789abcdef0123456789abcdef\t0123456789abcdef""#,
    ];
    for json in cases {
        assert_eq!(text(json), serde_json::from_str::<String>(json).ok(), "{json}");
    }
    assert_eq!(text("null").as_deref(), Some(""));
    assert_eq!(
        Cursor::new(b"\"a\xffb\"").text().map_err(|error| error.to_string()),
        Err("is not UTF-8 at byte 5".into())
    );
}

#[test]
fn integers_are_read_as_serde_reads_them() {
    let cases = [
        "0",
        "1",
        "-1",
        "10",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999",
        "-0",
        "00",
        "01",
        "-",
        "+1",
        "1.0",
        "1e3",
        "1E+3",
        "1.",
        ".5",
        "1e",
        "0x1",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "",
        "1 2",
        " 7\n",
    ];
    for json in cases {
        assert_eq!(integer::<i64>(json), serde_json::from_str(json).ok(), "{json}");
        assert_eq!(integer::<i32>(json), serde_json::from_str(json).ok(), "{json}");
    }
}

fn integer<T: TryFrom<i64>>(json: &str) -> Option<T> {
    let mut cursor = Cursor::new(json.as_bytes());
    let value = cursor.integer().ok()?;
    cursor.end().ok()?;
    Some(value)
}

#[test]
fn any_valid_value_is_skipped_and_no_broken_scalar_is() {
    for json in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "1e999",
        r#""a\"b""#,
        "{}",
        "[]",
        "[[[]]]",
        r#"{"a":{"b":["}]\"",{}]}}"#,
        " { } ",
        "[\n]",
    ] {
        let mut cursor = Cursor::new(json.as_bytes());
        assert_eq!(cursor.skip().expect(json), json.trim().as_bytes());
        cursor.end().expect(json);
    }
    for json in [
        "", "nul", "nope", "tru", "-", "1.", "1e", "\"a", "\"\\", "\"a\nb\"", "{", "[[]", "{\"}", "}", ",",
        ":", "x",
    ] {
        assert!(Cursor::new(json.as_bytes()).skip().is_err(), "{json}");
    }
}

#[test]
fn nothing_is_nested_too_deeply_to_be_skipped() {
    let json = "[{\"a\":".repeat(1_000_000) + "1" + &"}]".repeat(1_000_000);
    let mut cursor = Cursor::new(json.as_bytes());
    assert_eq!(cursor.skip().expect("brackets in balance").len(), json.len());
}
