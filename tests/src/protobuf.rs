//! Reads protobuf field by field, without the reader that is under test.

/// The fields of a message, each with its bytes; `None` if this is not a complete message.
#[must_use]
pub fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let begin = bytes;
        let value = match tag & 7 {
            0 => varint(&mut bytes).map(|_| &begin[..begin.len() - bytes.len()])?,
            2 => {
                let length = varint(&mut bytes)?;
                let (value, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
                bytes = rest;
                value
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

/// The bytes of the field at this path of field numbers.
#[must_use]
pub fn field<'a>(message: &'a [u8], path: &[u64]) -> Option<&'a [u8]> {
    path.iter().try_fold(message, |message, number| {
        fields(message)?.into_iter().find(|(own, _)| own == number).map(|(_, value)| value)
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = bytes.iter().take(10).position(|byte| *byte < 0x80)? + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}
