//! The icon in the tray: how things are, at a glance and in words, and a menu.

use branchline_desktop_controller::view::{Mood, Situation, Told};
use tauri::image::Image;
use tauri::menu::{Menu, MenuItem};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager};

use crate::desk::Desk;
use crate::window;

const ID: &str = "branchline";
const OPEN: &str = "open";
const NEW: &str = "new";
const QUIT: &str = "quit";
/// The menu's first line says how things are.
const STATE: &str = "state";

/// Puts the icon there or takes it away, as the settings say, in the present language.
pub(crate) fn set(app: &AppHandle) {
    let _ = app.remove_tray_by_id(ID);
    if !app.state::<Desk>().settings.get().tray {
        return;
    }
    if let Err(fault) = make(app) {
        tracing::warn!(error = %fault, "put an icon into the tray");
    }
}

fn make(app: &AppHandle) -> tauri::Result<()> {
    let desk = app.state::<Desk>();
    let situation = desk.controller.situation();
    TrayIconBuilder::with_id(ID)
        .icon(icon(situation.mood))
        .tooltip(line(&situation))
        .menu(&menu(app, &situation)?)
        .on_menu_event(|app, event| match event.id().as_ref() {
            OPEN | STATE => window::show(app),
            NEW => {
                window::show(app);
                app.state::<Desk>().tell(Told::New);
            }
            QUIT => app.exit(0),
            _ => {}
        })
        .build(app)
        .map(drop)
}

/// Shows how things are now.
pub(crate) fn say(app: &AppHandle, situation: &Situation) {
    let Some(tray) = app.tray_by_id(ID) else {
        return;
    };
    let said = tray
        .set_icon(Some(icon(situation.mood)))
        .and_then(|()| tray.set_tooltip(Some(line(situation))))
        .and_then(|()| tray.set_menu(Some(menu(app, situation)?)));
    if let Err(fault) = said {
        tracing::debug!(error = %fault, "change the tray's icon");
    }
}

fn menu(app: &AppHandle, situation: &Situation) -> tauri::Result<Menu<tauri::Wry>> {
    let words = app.state::<Desk>().controller.language().words();
    let item = |id: &str, text: &str| MenuItem::with_id(app, id, text, true, None::<&str>);
    Menu::with_items(
        app,
        &[
            &item(STATE, &situation.headline)?,
            &item(OPEN, words.tray_open)?,
            &item(NEW, words.tray_new)?,
            &item(QUIT, words.tray_quit)?,
        ],
    )
}

fn line(situation: &Situation) -> String {
    format!("Branchline: {} {}", situation.headline, situation.detail)
}

fn icon(mood: Mood) -> Image<'static> {
    match mood {
        Mood::Good | Mood::Plain | Mood::Calm => tauri::include_image!("icons/tray-connected.png"),
        Mood::Warn => tauri::include_image!("icons/tray-waiting.png"),
        Mood::Bad => tauri::include_image!("icons/tray-trouble.png"),
    }
}
