//! Screenshots as text or SVG, and animations of several.

pub mod animation;

use super::app::App;
use super::draw::draw;
use super::export::Form;
use super::theme::contrast;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Size;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// Renders the current screen.
pub fn render(app: &App, form: Form) -> String {
    let buffer = drawn(app);
    match form {
        Form::Text => text(&buffer),
        Form::Svg => svg(&buffer, ground(app)),
    }
}

/// The cells of the current screen.
fn drawn(app: &App) -> Buffer {
    let Size { width, height } = app.size();
    // Drawing into memory cannot fail.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|f| draw(app, f));
    terminal.backend().buffer().clone()
}

/// Background of the theme, or the default one.
fn ground(app: &App) -> u32 {
    app.theme.ground.bg.and_then(rgb).unwrap_or(GROUND.0)
}

/// The characters, without trailing spaces.
fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut out = String::new();
    for line in buffer.content.chunks(width) {
        let mut row = String::new();
        let mut skip = 0;
        for cell in line {
            if skip == 0 {
                row.push_str(cell.symbol());
                skip = super::canvas::width(cell.symbol()).max(1);
            }
            skip -= 1;
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// Size of a cell, pixels.
const CELL: (f32, f32) = (8.43, 18.0);
/// Margin, pixels.
const EDGE: f32 = 12.0;
/// Default background and foreground.
const GROUND: (u32, u32) = (0x0010_1114, 0x00d0_d4db);
/// RGB of the sixteen basic colours.
const SIXTEEN: [u32; 16] = [
    0x0000_0000,
    0x00cd_3131,
    0x000d_bc79,
    0x00e5_e510,
    0x0024_72c8,
    0x00bc_3fbc,
    0x0011_a8cd,
    0x00cc_cccc,
    0x0066_6666,
    0x00f1_4c4c,
    0x0023_d18b,
    0x00f5_f543,
    0x003b_8eea,
    0x00d6_70d6,
    0x0029_b8db,
    0x00ff_ffff,
];

/// RGB of a colour; `None` for the terminal's default.
fn rgb(c: Color) -> Option<u32> {
    Some(match c {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => u32::from(r) << 16 | u32::from(g) << 8 | u32::from(b),
        Color::Indexed(i) => indexed(i),
        Color::Black => SIXTEEN[0],
        Color::Red => SIXTEEN[1],
        Color::Green => SIXTEEN[2],
        Color::Yellow => SIXTEEN[3],
        Color::Blue => SIXTEEN[4],
        Color::Magenta => SIXTEEN[5],
        Color::Cyan => SIXTEEN[6],
        Color::Gray => SIXTEEN[7],
        Color::DarkGray => SIXTEEN[8],
        Color::LightRed => SIXTEEN[9],
        Color::LightGreen => SIXTEEN[10],
        Color::LightYellow => SIXTEEN[11],
        Color::LightBlue => SIXTEEN[12],
        Color::LightMagenta => SIXTEEN[13],
        Color::LightCyan => SIXTEEN[14],
        Color::White => SIXTEEN[15],
    })
}

/// RGB of one of the 256 colours of xterm.
fn indexed(i: u8) -> u32 {
    match i {
        0..16 => SIXTEEN[usize::from(i)],
        _ => contrast::xterm_rgb(i),
    }
}

/// Style of a run of cells.
#[derive(PartialEq)]
struct Look {
    fg: u32,
    bg: Option<u32>,
    bold: bool,
    dim: bool,
    under: bool,
}

impl Look {
    fn from_cell(cell: &Cell) -> Self {
        let (mut fg, mut bg) = (rgb(cell.fg), rgb(cell.bg));
        if cell.modifier.contains(Modifier::REVERSED) {
            (fg, bg) = (Some(bg.unwrap_or(GROUND.0)), Some(fg.unwrap_or(GROUND.1)));
        }
        Self {
            fg: fg.unwrap_or(GROUND.1),
            bg,
            bold: cell.modifier.contains(Modifier::BOLD),
            dim: cell.modifier.contains(Modifier::DIM),
            under: cell.modifier.contains(Modifier::UNDERLINED),
        }
    }
}

/// Renders a rectangle for each run of a background and a text for each run of a style.
fn svg(buffer: &Buffer, ground: u32) -> String {
    let mut out = head(buffer.area.width, buffer.area.height, ground);
    for row in 0..buffer.area.height {
        push_row(&mut out, buffer, row);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Start of an image of this many columns and lines: its background and its font.
fn head(cols: u16, rows: u16, ground: u32) -> String {
    let (w, h) = (f32::from(cols) * CELL.0 + 2.0 * EDGE, f32::from(rows) * CELL.1 + 2.0 * EDGE);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#{ground:06x}\"/>\n\
         <g font-family=\"'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" \
         xml:space=\"preserve\">\n"
    )
}

/// Appends one line.
fn push_row(out: &mut String, buffer: &Buffer, row: u16) {
    let y = EDGE + f32::from(row) * CELL.1;
    let mut col = 0;
    while col < buffer.area.width {
        let look = Look::from_cell(&buffer[(col, row)]);
        let from = col;
        let mut text = String::new();
        while col < buffer.area.width && Look::from_cell(&buffer[(col, row)]) == look {
            let symbol = buffer[(col, row)].symbol();
            text.push_str(symbol);
            col += super::canvas::width(symbol).max(1);
        }
        run(out, &look, &text, from, col - from, y);
    }
}

fn run(out: &mut String, look: &Look, text: &str, from: u16, cells: u16, y: f32) {
    if let Some(bg) = look.bg {
        let (x, wide) = (EDGE + f32::from(from) * CELL.0, f32::from(cells) * CELL.0);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"#{bg:06x}\"/>",
            CELL.1
        );
    }
    let shown = text.trim();
    if shown.is_empty() {
        return;
    }
    let lead = text.len() - text.trim_start().len();
    let x = EDGE + (f32::from(from) + lead as f32) * CELL.0;
    let wide = f32::from(super::canvas::width(shown)) * CELL.0;
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#{:06x}\"",
        y + 13.5,
        look.fg
    );
    for (is, what) in [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.7\""),
        (look.under, " text-decoration=\"underline\""),
    ] {
        out.push_str(if is { what } else { "" });
    }
    let safe = shown.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, ">{safe}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn text_and_svg_keep_characters_and_styles() {
        let mut b = Buffer::empty(Rect::new(0, 0, 12, 2));
        b.set_string(0, 0, "한국 <a&b>", Style::new().fg(Color::Indexed(196)));
        b.set_string(2, 1, "x", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD));
        assert_eq!(text(&b), "한국 <a&b>\n  x\n");
        let svg = svg(&b, GROUND.0);
        assert!(svg.contains(" fill=\"#ff0000\">한국 &lt;a&amp;b></text>"), "{svg}");
        assert!(svg.contains("textLength=\"84.3\""), "two cells for each wide one: {svg}");
        assert!(
            svg.contains("fill=\"#d0d4db\"/>") && svg.contains("fill=\"#101114\" font-weight=\"bold\">x<")
        );
        assert_eq!(
            (indexed(1), indexed(16), indexed(231), indexed(255)),
            (0x00cd_3131, 0, 0x00ff_ffff, 0x00ee_eeee)
        );
    }
}
