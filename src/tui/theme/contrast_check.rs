//! Palettes against the contrast that WCAG 2.2 asks for.

use super::color::Color;
use super::contrast::{nearest, ratio, xterm_rgb};
use super::palette::{Palette, Tone};

/// Text colours with their backgrounds, and true for the least important text: rules, zeros, missing values.
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

/// Pairs with too little contrast at this depth: text needs 4.5 (WCAG 2.2, 1.4.3); in a high-contrast palette 7 (1.4.6),
/// and the least important text 4.5.
pub fn faults(p: &Palette, depth: Color) -> Vec<String> {
    let shown = |t: Tone| match depth {
        Color::Indexed => xterm_rgb(nearest(p.rgb(t))),
        _ => p.rgb(t),
    };
    let mut out = Vec::new();
    for (text, grounds, quiet) in PAIRS {
        let wanted = match (p.high, quiet) {
            (false, _) | (true, true) => 4.5,
            (true, false) => 7.0,
        };
        for ground in *grounds {
            let r = ratio(shown(*text), shown(*ground));
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

/// Pairs with too little contrast in true color; empty for a palette of sixteen colors, which the terminal defines.
pub fn true_color_faults(p: &Palette) -> Vec<String> {
    if p.most < Color::Basic { faults(p, Color::True) } else { vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;
    use crate::tui::theme::Theme;
    use crate::tui::theme::contrast::is_dark;
    use crate::tui::theme::palette::{PALETTES, SIXTEEN, TERMINALS};
    use ratatui::style::{Modifier, Style};

    #[test]
    fn palettes_have_sufficient_contrast() {
        for p in PALETTES.iter().filter(|p| p.most < Color::Basic) {
            for depth in [Color::True, Color::Indexed] {
                assert_eq!(faults(p, depth), [""; 0], "{} {depth:?}", p.name);
            }
        }
    }

    #[test]
    fn sixteen_color_palettes_have_sufficient_contrast() {
        // On black and white 4.5. Solarized has less for its own text (4.1), and Tango no red for its grey: 3 (WCAG 1.4.11).
        let mut tried = 0;
        for p in PALETTES {
            let theme = Theme::new(p, Color::Basic, false);
            let styles = [
                theme.text,
                theme.strong,
                theme.dim,
                theme.accent,
                theme.band,
                theme.window,
                theme.title,
                theme.tab,
                theme.head,
                theme.sorted,
                theme.select,
                theme.cell,
                theme.fresh,
                theme.good,
                theme.warn,
                theme.bad,
                theme.serve,
                theme.opening,
                theme.closing,
                theme.key,
            ]
            .into_iter()
            .chain(State::all().map(|s| theme.bold(theme.state(s))));
            let styles: Vec<Style> = styles.collect();
            for (terminal, colors, dark, light) in TERMINALS {
                for ground in if is_dark(p.rgb(Tone::Ground)) { *dark } else { *light } {
                    let wanted = if matches!(ground, 0 | 0x00ff_ffff) { 4.5 } else { 3.0 };
                    for style in &styles {
                        assert!(style.bg.is_none_or(|c| c == ratatui::style::Color::Reset), "{}", p.name);
                        let index = (0..16).find(|i| style.fg == Some(SIXTEEN[*i]));
                        assert_eq!(
                            index.is_some(),
                            style.fg.is_some_and(|c| c != ratatui::style::Color::Reset),
                            "{}: {style:?}",
                            p.name
                        );
                        let Some(index) = index else { continue };
                        // xterm and the Linux console show a bold color of the first eight as the bright one.
                        let bold = style.add_modifier.contains(Modifier::BOLD) && index < 8;
                        for i in [index, if bold { index + 8 } else { index }] {
                            let r = ratio(colors[i], *ground);
                            assert!(r >= wanted, "{} {terminal} on {ground:06x}: color {i}: {r:.1}", p.name);
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert!(tried > 500, "{tried}");
    }

    #[test]
    fn levels_differ_by_more_than_hue() {
        for p in PALETTES {
            for depth in [Color::True, Color::Indexed, Color::Basic, Color::None] {
                for painted in [false, true] {
                    let t = Theme::new(p, depth, painted);
                    let looks = [t.good, t.warn, t.bad].map(|s| s.add_modifier);
                    assert!(looks[0] != looks[1] && looks[1] != looks[2], "{} {depth:?}", p.name);
                    assert_eq!(looks[0], Modifier::empty());
                }
            }
        }
    }

    #[test]
    fn unknown_background_is_painted_or_left_to_the_terminal() {
        for p in PALETTES {
            for depth in [Color::True, Color::Indexed] {
                let t = Theme::new(p, depth, true);
                let depth = depth.least(p.most);
                assert_eq!(
                    t.ground.bg.is_some() && t.ground.fg.is_some(),
                    depth < Color::Basic,
                    "{}",
                    p.name
                );
            }
            // Of sixteen colours none is readable on black and on white.
            let t = Theme::new(p, Color::Basic, true);
            for style in
                [t.text, t.dim, t.faint, t.accent, t.good, t.warn, t.bad, t.serve, t.select, t.tab, t.window]
            {
                assert_eq!((style.fg, style.bg), (None, None), "{}", p.name);
            }
        }
    }

    /// Kinds of color blindness with their matrices.
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

    /// The colour in CIE L*a*b*, as seen without cones of one kind (Machado, Oliveira, Fernandes 2009, severity 1).
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

    /// Smallest distance of two colors for eyes without cones of one kind (CIE 1976).
    fn distance(a: u32, b: u32) -> f64 {
        let distances = KINDS.iter().map(|(_, m)| {
            let (x, y) = (seen(a, *m), seen(b, *m));
            x.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
        });
        distances.fold(f64::MAX, f64::min)
    }

    #[test]
    fn states_differ_by_more_than_hue() {
        use crate::model::State::{CloseWait, Established, Listen, SynSent, TimeWait};
        // The state that needs attention is bold or underlined, the others are not.
        for p in PALETTES {
            for depth in [Color::True, Color::Indexed, Color::Basic, Color::None] {
                for painted in [false, true] {
                    let t = Theme::new(p, depth, painted);
                    let marks = |s| t.bold(t.state(s)).add_modifier - Modifier::BOLD;
                    let marked = t.state(CloseWait).add_modifier;
                    for s in [Established, Listen, SynSent, TimeWait] {
                        assert_ne!(t.state(s).add_modifier, marked, "{} {depth:?} {s:?}", p.name);
                        assert!(marks(s).is_empty(), "{} {depth:?} {s:?}", p.name);
                    }
                }
            }
        }
        for p in PALETTES.iter().filter(|p| ["dark", "light"].contains(&p.name.as_ref())) {
            let tones = [Tone::Good, Tone::Serve, Tone::Opening, Tone::Closing];
            for (i, a) in tones.into_iter().enumerate() {
                for b in &tones[i + 1..] {
                    let far = distance(p.rgb(a), p.rgb(*b));
                    assert!(far > 5.0, "{}: {} and {} are {far:.0} apart", p.name, a.name(), b.name());
                }
            }
        }
    }

    #[test]
    fn color_blind_palettes_keep_levels_distinct() {
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
