//! ITU-T G.711: µ-law and A-law, as the reference implementation of ITU-T G.191 computes them.

/// One sample in µ-law (G.711 Table 2).
pub fn mu_law(sample: i16) -> u8 {
    // 14 bits of magnitude, negative ones by ones' complement, biased so that every segment begins at a power of two.
    let magnitude = (i32::from(if sample < 0 { !sample } else { sample }) >> 2) + 33;
    let magnitude = magnitude.min(0x1fff);
    // 1 for the segment nearest to zero, 8 for the loudest.
    let segment = 32 - (magnitude >> 6).leading_zeros() as i32 + 1;
    let code = ((8 - segment) << 4) | (0xf - ((magnitude >> segment) & 0xf));
    code as u8 | if sample < 0 { 0 } else { 0x80 }
}

/// One sample in A-law (G.711 Table 1), even bits inverted.
pub fn a_law(sample: i16) -> u8 {
    // 12 bits of magnitude, of which the segment keeps the leading five.
    let magnitude = i32::from(if sample < 0 { !sample } else { sample }) >> 4;
    let segment = (32 - (magnitude >> 4).leading_zeros() as i32 - 1).max(0);
    let code = if magnitude > 15 { ((segment + 1) << 4) | ((magnitude >> segment) & 0xf) } else { magnitude };
    (code as u8 | if sample < 0 { 0 } else { 0x80 }) ^ 0x55
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The output values of G.711 Table 2b, scaled to 16 bits.
    pub fn mu_law_value(code: u8) -> i16 {
        let code = !code;
        let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 0xf));
        let value = (((step << 3) + 132) << segment) - 132;
        (if code & 0x80 != 0 { -value } else { value }) as i16
    }

    /// The output values of G.711 Table 1b, scaled to 16 bits.
    pub fn a_law_value(code: u8) -> i16 {
        let code = code ^ 0x55;
        let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 0xf));
        let value = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 264) << (segment - 1) };
        (if code & 0x80 != 0 { value } else { -value }) as i16
    }

    #[test]
    fn the_recommendations_reference_values() {
        // Virtual decision values at the ends of the segments (Tables 1a, 2a) and the codes on either side.
        let mu = [(0, 0xff), (-1, 0x7f), (32_767, 0x80), (-32_768, 0x00), (31 * 4, 0xef), (31 * 4 - 1, 0xf0)];
        for (sample, code) in
            mu.into_iter().chain([(95 * 4, 0xdf), (4063 * 4, 0x8f), (-4063 * 4 - 1, 0x0f), (1000, 0xce)])
        {
            assert_eq!(mu_law(sample), code, "µ-law of {sample}");
        }
        let a = [(0, 0xd5), (-1, 0x55), (32_767, 0xaa), (-32_768, 0x2a), (32 * 16, 0xf5), (32 * 16 - 1, 0xca)];
        for (sample, code) in a.into_iter().chain([(64 * 16, 0xe5), (2048 * 8, 0xa5), (1000, 0xfa)]) {
            assert_eq!(a_law(sample), code, "A-law of {sample}");
        }
    }

    #[test]
    fn every_code_comes_back_and_every_sample_lands_on_a_near_value() {
        for code in 0..=255u8 {
            assert_eq!(a_law(a_law_value(code)), code);
            // µ-law has a negative zero that no sample encodes to.
            assert_eq!(mu_law(mu_law_value(code)), if code == 0x7f { 0xff } else { code });
        }
        for sample in i16::MIN..=i16::MAX {
            let size = i32::from(sample).abs();
            let mu = (i32::from(mu_law_value(mu_law(sample))) - i32::from(sample)).abs();
            let a = (i32::from(a_law_value(a_law(sample))) - i32::from(sample)).abs();
            assert!(mu <= 4 + size / 31, "µ-law of {sample} is {mu} off");
            assert!(a <= 16 + size / 31, "A-law of {sample} is {a} off");
        }
    }
}
