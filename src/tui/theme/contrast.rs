//! Readability of one colour on another: the contrast ratio of WCAG 2.2; and the 256 colours of xterm.

/// Relative luminance, 0 to 1 (WCAG 2.2, "relative luminance").
pub fn luminance(rgb: u32) -> f64 {
    let linear = |shift: u32| {
        let c = f64::from(rgb >> shift & 0xff) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0)
}

/// Contrast ratio, 1 to 21 (WCAG 2.2, "contrast ratio").
pub fn ratio(a: u32, b: u32) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// True if light text is more readable on the colour than dark text.
pub fn is_dark(rgb: u32) -> bool {
    ratio(rgb, 0x00ff_ffff) > ratio(rgb, 0)
}

/// RGB of one of the 240 fixed colours of xterm's 256: a cube of 6 by 6 by 6, and greys.
pub fn xterm_rgb(i: u8) -> u32 {
    let step = |n: u32| if n == 0 { 0 } else { 55 + 40 * n };
    match i {
        0..232 => {
            let n = u32::from(i.saturating_sub(16));
            step(n / 36) << 16 | step(n / 6 % 6) << 8 | step(n % 6)
        }
        _ => (8 + 10 * u32::from(i - 232)) * 0x0001_0101,
    }
}

/// Index of the nearest of them.
pub fn nearest(rgb: u32) -> u8 {
    let far = |i: u8| -> i32 {
        let candidate = xterm_rgb(i);
        // The eye is most sensitive to green and least to blue.
        [(16, 3), (8, 4), (0, 2)]
            .iter()
            .map(|(s, w)| {
                let d = (rgb >> s & 0xff) as i32 - (candidate >> s & 0xff) as i32;
                w * d * d
            })
            .sum()
    };
    (16..=255).min_by_key(|i| far(*i)).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_ratios_match_published_values() {
        assert!((ratio(0, 0x00ff_ffff) - 21.0).abs() < 1e-9);
        assert!((ratio(0x0077_7777, 0x00ff_ffff) - 4.48).abs() < 0.01, "the well-known grey that just fails");
        assert!(is_dark(0x0010_1114) && !is_dark(0x00fa_fafa));
        assert_eq!((xterm_rgb(16), xterm_rgb(231), xterm_rgb(255)), (0, 0x00ff_ffff, 0x00ee_eeee));
        for i in 16..=255u8 {
            assert_eq!(xterm_rgb(nearest(xterm_rgb(i))), xterm_rgb(i), "{i}");
        }
    }
}
