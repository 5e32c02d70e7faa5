//! Whether one colour can be read on another: the contrast ratio of WCAG 2.2, and the 256 colours of xterm.

use super::{Color, Palette, Tone};

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

/// Whether light text reads better on it than dark.
pub fn is_dark(rgb: u32) -> bool {
    ratio(rgb, 0x00ff_ffff) > ratio(rgb, 0)
}

/// One of the 240 fixed of the 256 colours of xterm, as red, green and blue: a cube of 6 by 6 by 6, greys.
pub fn of_index(i: u8) -> u32 {
    let step = |n: u32| if n == 0 { 0 } else { 55 + 40 * n };
    match i {
        0..232 => {
            let n = u32::from(i.saturating_sub(16));
            step(n / 36) << 16 | step(n / 6 % 6) << 8 | step(n % 6)
        }
        _ => (8 + 10 * u32::from(i - 232)) * 0x0001_0101,
    }
}

/// The nearest of them.
pub fn nearest(rgb: u32) -> u8 {
    let far = |i: u8| -> i32 {
        let of = of_index(i);
        // Green counts most for the eye, blue least.
        [(16, 3), (8, 4), (0, 2)]
            .iter()
            .map(|(s, w)| {
                let d = (rgb >> s & 0xff) as i32 - (of >> s & 0xff) as i32;
                w * d * d
            })
            .sum()
    };
    (16..=255).min_by_key(|i| far(*i)).unwrap_or(16)
}

/// What is read on what, and whether it is only there to be left out: rules, zeros, what is missing.
pub const PAIRS: &[(Tone, &[Tone], bool)] = {
    use Tone::{
        Accent, Bad, Closing, Faint, Good, Ground, Ink, Lifted, New, Opening, Serve, Soft, Surface, Warn,
    };
    &[
        (Ink, &[Ground, Surface, Lifted, New], false),
        (Soft, &[Ground, Surface, New], false),
        (Accent, &[Ground, Surface, Lifted, New], false),
        (Good, &[Ground, Surface, Lifted, New], false),
        (Warn, &[Ground, Surface, Lifted, New], false),
        (Bad, &[Ground, Surface, Lifted, New], false),
        (Serve, &[Ground, Lifted, New], false),
        (Opening, &[Ground, Lifted, New], false),
        (Closing, &[Ground, Lifted, New], false),
        (Faint, &[Ground, Surface, New], true),
    ]
};

/// What cannot be read well in this depth: text wants 4.5, what is quiet 3 (WCAG 2.2, 1.4.3 and 1.4.11); a palette for
/// high contrast wants 7 and 4.5 (1.4.6).
pub fn faults(p: &Palette, depth: Color) -> Vec<String> {
    let of = |t: Tone| match depth {
        Color::Indexed => of_index(nearest(p.rgb(t))),
        _ => p.rgb(t),
    };
    let mut out = Vec::new();
    for (text, grounds, quiet) in PAIRS {
        let wanted = match (p.high, quiet) {
            (false, true) => 3.0,
            (false, false) | (true, true) => 4.5,
            (true, false) => 7.0,
        };
        for ground in *grounds {
            let r = ratio(of(*text), of(*ground));
            if r < wanted {
                out.push(format!(
                    "{} on {} has a contrast of {r:.1}, less than {wanted}",
                    text.name(),
                    ground.name()
                ));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::palette::{PALETTES, SIXTEEN_VGA};

    #[test]
    fn ratios_as_published() {
        assert!((ratio(0, 0x00ff_ffff) - 21.0).abs() < 1e-9);
        assert!((ratio(0x0077_7777, 0x00ff_ffff) - 4.48).abs() < 0.01, "the well-known grey that just fails");
        assert!(is_dark(0x0010_1114) && !is_dark(0x00fa_fafa));
        assert_eq!((of_index(16), of_index(231), of_index(255)), (0, 0x00ff_ffff, 0x00ee_eeee));
        for i in 16..=255u8 {
            assert_eq!(of_index(nearest(of_index(i))), of_index(i), "{i}");
        }
    }

    #[test]
    fn every_palette_can_be_read() {
        for p in PALETTES.iter().filter(|p| p.most < Color::Basic) {
            for depth in [Color::True, Color::Indexed] {
                assert_eq!(faults(p, depth), [""; 0], "{} {depth:?}", p.name);
            }
        }
    }

    #[test]
    fn of_sixteen_colours_too() {
        // On the console's own colours, which are the least bright in use; blank ground either way.
        for p in PALETTES {
            let ground = if is_dark(p.rgb(Tone::Ground)) { 0 } else { 0x00ff_ffff };
            for (t, grounds, quiet) in PAIRS {
                let Some(i) = p.sixteenth(*t) else { continue };
                for g in grounds.iter().filter(|g| matches!(g, Tone::Ground | Tone::Surface)) {
                    let under = p.sixteenth(*g).map_or(ground, |i| SIXTEEN_VGA[i]);
                    let r = ratio(SIXTEEN_VGA[i], under);
                    let wanted = if *quiet { 2.8 } else { 4.5 };
                    assert!(r >= wanted, "{}: {} on {}: {r:.1}", p.name, t.name(), g.name());
                }
            }
        }
    }

    /// As seen without cones of one kind (Machado, Oliveira, Fernandes 2009, severity 1), in CIE L*a*b*.
    fn seen(rgb: u32, m: [[f64; 3]; 3]) -> [f64; 3] {
        let linear = |s: u32| {
            let c = f64::from(rgb >> s & 0xff) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        let c = [linear(16), linear(8), linear(0)];
        let c: Vec<f64> =
            m.iter().map(|r| r.iter().zip(&c).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0)).collect();
        let xyz = [
            (0.4124 * c[0] + 0.3576 * c[1] + 0.1805 * c[2]) / 0.9505,
            0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2],
            (0.0193 * c[0] + 0.1192 * c[1] + 0.9505 * c[2]) / 1.089,
        ];
        let f = xyz.map(|t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])]
    }

    #[test]
    fn well_near_and_full_differ_for_every_eye_in_the_palettes_made_for_it() {
        const KINDS: [(&str, [[f64; 3]; 3]); 3] = [
            (
                "protan",
                [
                    [0.152_286, 1.052_583, -0.204_868],
                    [0.114_503, 0.786_281, 0.099_216],
                    [-0.003_882, -0.048_116, 1.051_998],
                ],
            ),
            (
                "deutan",
                [
                    [0.367_322, 0.860_646, -0.227_968],
                    [0.280_085, 0.672_501, 0.047_413],
                    [-0.011_820, 0.042_940, 0.968_881],
                ],
            ),
            (
                "tritan",
                [
                    [1.255_528, -0.076_749, -0.178_779],
                    [-0.078_411, 0.930_809, 0.147_602],
                    [0.004_733, 0.691_367, 0.303_900],
                ],
            ),
        ];
        let mut tried = 0;
        for p in PALETTES.iter().filter(|p| p.name.starts_with("color-blind")) {
            for (kind, m) in KINDS {
                for (a, b) in [(Tone::Good, Tone::Warn), (Tone::Warn, Tone::Bad), (Tone::Good, Tone::Bad)] {
                    let (x, y) = (seen(p.rgb(a), m), seen(p.rgb(b), m));
                    let far: f64 = x.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
                    assert!(
                        far > 20.0,
                        "{} {kind}: {} and {} are {far:.0} apart",
                        p.name,
                        a.name(),
                        b.name()
                    );
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 18);
    }
}
