//! The window: made once, hidden and shown; it goes nowhere but to the client's own pages.

use branchline_desktop_controller::view::Told;
use tauri::{
    App, AppHandle, DragDropEvent, Manager, WebviewUrl, WebviewWindowBuilder, Window, WindowEvent,
};

use crate::desk::{Desk, add_from_outside};

pub(crate) const LABEL: &str = "main";

pub(crate) fn make(app: &App) -> tauri::Result<()> {
    WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App("index.html".into()))
        .title("Branchline")
        .inner_size(1_000.0, 760.0)
        .min_inner_size(360.0, 420.0)
        .visible(false)
        .on_navigation(|url| {
            // The pages are the program's; on Windows they have a host of their own.
            url.scheme() == "tauri" || url.host_str() == Some("tauri.localhost")
        })
        .build()
        .map(drop)
}

pub(crate) fn show(app: &AppHandle) {
    let Some(window) = app.get_webview_window(LABEL) else {
        return;
    };
    let shown = window
        .show()
        .and_then(|()| window.unminimize())
        .and_then(|()| window.set_focus());
    if let Err(fault) = shown {
        tracing::warn!(error = %fault, "show the window");
    }
}

pub(crate) fn is_looked_at(app: &AppHandle) -> bool {
    app.get_webview_window(LABEL)
        .and_then(|window| window.is_focused().ok())
        .unwrap_or(false)
}

pub(crate) fn on_event(window: &Window, event: &WindowEvent) {
    let app = window.app_handle();
    match event {
        // With an icon in the tray the program goes on, and tells of answers.
        WindowEvent::CloseRequested { api, .. } if app.state::<Desk>().settings.get().tray => {
            api.prevent_close();
            if let Err(fault) = window.hide() {
                tracing::warn!(error = %fault, "hide the window");
            }
        }
        WindowEvent::DragDrop(drag) => match drag {
            DragDropEvent::Drop { paths, .. } => {
                app.state::<Desk>().tell(Told::Dragging { over: false });
                add_from_outside(app, paths.clone());
            }
            DragDropEvent::Enter { .. } => app.state::<Desk>().tell(Told::Dragging { over: true }),
            DragDropEvent::Leave => app.state::<Desk>().tell(Told::Dragging { over: false }),
            _ => {}
        },
        _ => {}
    }
}
