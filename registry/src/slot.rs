//! The slots among which a Redis Cluster divides its keys.

/// How many there are.
pub(crate) const SLOTS: usize = 16_384;

/// CRC16 (XMODEM) of each byte.
const TABLE: [u16; 256] = {
    let (mut table, mut byte) = ([0_u16; 256], 0);
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The slot of a key or of a sharded channel: of its hash tag, if it has one.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    let crc =
        tag_of(key).iter().fold(0_u16, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]);
    crc % SLOTS as u16
}

/// What stands in the first braces, unless that is nothing.
fn tag_of(key: &[u8]) -> &[u8] {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[open..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open..open + length])
    };
    tag().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // From `CLUSTER KEYSLOT` of Redis 7.0.
        for (key, expected) in [("123456789", 12_739), ("foo", 12_182), ("a{foo}b", 12_182), ("{}x", 10_595)]
        {
            assert_eq!(slot_of(key.as_bytes()), expected, "{key}");
        }
    }
}
