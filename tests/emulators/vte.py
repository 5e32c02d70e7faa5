"""A window with nothing but a VTE terminal: vte.py FOREGROUND BACKGROUND COLUMNS ROWS COMMAND [ARGUMENT...]"""

import os
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
gi.require_version("Vte", "2.91")
from gi.repository import Gdk, GLib, Gtk, Pango, Vte

foreground, background, columns, rows, *command = sys.argv[1:]


def color(text):
    rgba = Gdk.RGBA()
    rgba.parse(text)
    return rgba


settings = Gtk.Settings.get_default()
settings.set_property("gtk-xft-antialias", 0)
settings.set_property("gtk-xft-rgba", "none")
terminal = Vte.Terminal()
terminal.set_font(Pango.FontDescription("DejaVu Sans Mono 10"))
terminal.set_colors(color(foreground), color(background), [])
terminal.set_cursor_blink_mode(Vte.CursorBlinkMode.OFF)
terminal.set_size(int(columns), int(rows))
terminal.connect("child-exited", lambda *_: Gtk.main_quit())
css = Gtk.CssProvider()
css.load_from_data(b"vte-terminal { padding: 0; }")
terminal.get_style_context().add_provider(css, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION)


def write_size(*_):
    """Writes the size of the terminal in cells and pixels, which VTE does not report by TIOCGWINSZ."""
    cells = terminal.get_row_count(), terminal.get_column_count()
    pixels = cells[1] * terminal.get_char_width(), cells[0] * terminal.get_char_height()
    path = os.path.join(os.environ["SHARED"], "size")
    with open(path + ".new", "w") as file:
        print(*cells, *pixels, file=file)
    os.rename(path + ".new", path)
    return True


# As soon as the font is known.
GLib.timeout_add(50, write_size)
window = Gtk.Window()
window.set_decorated(False)
window.add(terminal)
window.show_all()
window.move(0, 0)
environment = [f"{name}={value}" for name, value in os.environ.items() if name not in ("TERM", "COLORTERM")]
terminal.spawn_async(
    Vte.PtyFlags.DEFAULT, None, command, environment + ["TERM=xterm-256color", "COLORTERM=truecolor"],
    GLib.SpawnFlags.DEFAULT, None, None, -1, None, None,
)
Gtk.main()
