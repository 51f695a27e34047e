# A window at the right edge of the screen from which the files named as arguments can be dragged; it ends with
# the drag.
import pathlib
import sys

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk

window = Gtk.Window(type=Gtk.WindowType.POPUP)
window.move(1040, 100)
window.resize(200, 200)
box = Gtk.EventBox()
window.add(box)
box.drag_source_set(Gdk.ModifierType.BUTTON1_MASK, [], Gdk.DragAction.COPY)
box.drag_source_add_uri_targets()
files = [pathlib.Path(path).as_uri() for path in sys.argv[1:]]
box.connect("drag-data-get", lambda _box, _context, data, _info, _time: data.set_uris(files))
box.connect("drag-end", lambda *_: Gtk.main_quit())
window.connect("map-event", lambda *_: print("ready", flush=True))
window.show_all()
Gtk.main()
