//! Integers, bit-fields and bitmaps in kernel byte buffers.

/// Native-endian `u32` at this offset; `None` if the buffer is too short.
pub fn read_u32(b: &[u8], offset: usize) -> Option<u32> {
    b.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Native-endian `u64` at this offset; `None` if the buffer is too short.
pub fn read_u64(b: &[u8], offset: usize) -> Option<u64> {
    b.get(offset..offset + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// Byte order of the host that wrote the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// Byte order of this host.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// C bit-field of `width` bits that is declared after `before` bits of the same byte. C compilers allocate bit-fields
/// from the least significant bit on little-endian machines and from the most significant one on big-endian machines.
pub const fn bit_field(byte: u8, before: u32, width: u32, order: Endian) -> u8 {
    let shift = match order {
        Endian::Little => before,
        Endian::Big => 8 - before - width,
    };
    byte >> shift & (u8::MAX >> (8 - width))
}

/// One-bit fields of two bytes: bit n of the result is the field declared n-th, counted from 0.
pub const fn one_bit_fields(bytes: [u8; 2], order: Endian) -> u16 {
    match order {
        Endian::Little => u16::from_le_bytes(bytes),
        Endian::Big => u16::from_be_bytes(bytes).reverse_bits(),
    }
}

/// Indexes, from 0, of the bits set in a kernel bitmap: an array of `unsigned long`, `word` bytes each (4 or 8).
pub fn bitmap_bits(map: &[u8], word: usize, order: Endian) -> impl Iterator<Item = u32> + '_ {
    let byte = move |i: usize| match order {
        Endian::Little => map.get(i),
        Endian::Big => map.get(i ^ (word - 1)),
    };
    (0..map.len() * 8).filter(move |n| byte(n / 8).is_some_and(|b| b >> (n % 8) & 1 != 0)).map(|n| n as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct inet_diag_sockopt` with `is_icsk`, `mc_all` and `defer_connect`; the two bytes of `struct tcp_info` with
    /// `snd_wscale` 7, `rcv_wscale` 9, `delivery_rate_app_limited` and `fastopen_client_fail` 2: as gcc lays them out for
    /// x86-64 and for s390x.
    #[test]
    fn bit_fields_follow_byte_order() {
        for (order, sockopt, scales, limits) in
            [(Endian::Little, [0x42, 0x04], 0x97, 0x05), (Endian::Big, [0x42, 0x20], 0x79, 0xc0)]
        {
            assert_eq!(one_bit_fields(sockopt, order), 1 << 1 | 1 << 6 | 1 << 10, "{order:?}");
            assert_eq!(bit_field(scales, 0, 4, order), 7, "{order:?}");
            assert_eq!(bit_field(scales, 4, 4, order), 9, "{order:?}");
            assert_eq!(bit_field(limits, 0, 1, order), 1, "{order:?}");
            assert_eq!(bit_field(limits, 1, 2, order), 2, "{order:?}");
            assert_eq!(bit_field(0xa5, 0, 8, order), 0xa5, "a whole byte");
        }
        for n in 0..16 {
            let mut bytes = [0; 2];
            bytes[n / 8] = 1 << (n % 8);
            assert_eq!(one_bit_fields(bytes, Endian::Little), 1 << n);
            bytes[n / 8] = 0x80 >> (n % 8);
            assert_eq!(one_bit_fields(bytes, Endian::Big), 1 << n);
        }
    }

    #[test]
    fn bitmap_is_an_array_of_longs() {
        let bits = [0u32, 6, 65, 120];
        let longs = [1u64 | 1 << 6, 1 << 1 | 1 << 56];
        let bytes = |encode: fn(u64) -> [u8; 8]| longs.map(encode).concat();
        let read = |map: &[u8], word, order| bitmap_bits(map, word, order).collect::<Vec<_>>();
        assert_eq!(read(&bytes(u64::to_le_bytes), 8, Endian::Little), bits);
        assert_eq!(read(&bytes(u64::to_le_bytes), 4, Endian::Little), bits);
        assert_eq!(read(&bytes(u64::to_be_bytes), 8, Endian::Big), bits);
        let words = [1u32 | 1 << 6, 0, 1 << 1, 1 << 24].map(u32::to_be_bytes).concat();
        assert_eq!(read(&words, 4, Endian::Big), bits);
        assert!(read(&[0, 0, 1], 8, Endian::Big).is_empty(), "truncated");
        assert_eq!(read(&[0x41, 0, 1], 8, Endian::Little), [0, 6, 16]);
    }
}
